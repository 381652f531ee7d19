//! All paths, the description of them, and what every request passes through.

use crate::app::{App, Shared};
use crate::problem::{Problem, Result};
use crate::{
    console, fetch, groups, health, membership, metrics, produce, sizes, socket, stream, topics,
};
use axum::Router;
use axum::extract::{MatchedPath, Query, Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::Response;
use axum::routing::get;
use bytes::Bytes;
use std::collections::BTreeSet;
use std::sync::Arc;
use subtle::ConstantTimeEq;
use utoipa::openapi::path::{Operation, Parameter, ParameterIn};
use utoipa::openapi::{OpenApi, RefOr};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

const PRODUCE: &str = "/v1/topics/{topic}/records";
const FETCH: &str = "/v1/topics/{topic}/partitions/{partition}/records";
const STREAM: &str = "/v1/topics/{topic}/stream";
const SOCKET: &str = "/v1/topics/{topic}/ws";
const POLL: &str = "/v1/groups/{group}/members/{id}/records";

/// The paths that take room and the token, those that take just the token, and those that are open.
fn paths() -> [OpenApiRouter<Arc<App>>; 3] {
    let guarded = OpenApiRouter::with_openapi(crate::openapi::head())
        .routes(routes!(topics::create, topics::list))
        .routes(routes!(topics::describe, topics::alter, topics::delete))
        .routes(routes!(topics::offsets))
        .routes(routes!(sizes::size))
        .routes(routes!(produce::produce))
        .routes(routes!(fetch::fetch))
        .routes(routes!(stream::stream))
        .routes(routes!(socket::socket))
        .routes(routes!(groups::list))
        .routes(routes!(groups::describe, groups::delete))
        .routes(routes!(groups::commit))
        .routes(routes!(groups::set))
        .routes(routes!(membership::join))
        .routes(routes!(membership::show, membership::leave))
        .routes(routes!(membership::poll))
        .routes(routes!(membership::commit));
    let watched = OpenApiRouter::new().routes(routes!(metrics::metrics));
    let open =
        OpenApiRouter::new().routes(routes!(health::healthz)).routes(routes!(health::readyz));
    [guarded, watched, open]
}

/// The service.
pub(crate) fn router(app: &Arc<App>) -> Router {
    let [guarded, watched, open] = paths();
    let (guarded, mut description) = guarded.split_for_parts();
    let bare = Arc::new(without_parameters(&description));
    let (watched, more) = watched.split_for_parts();
    description.paths.paths.extend(more.paths.paths);
    let (open, more) = open.split_for_parts();
    description.paths.paths.extend(more.paths.paths);
    let description = Bytes::from(crate::openapi::text(&description));
    let described = async move || ([(header::CONTENT_TYPE, "application/json")], description);
    guarded
        .route_layer(from_fn_with_state(bare, refuse_parameters))
        .route_layer(from_fn_with_state(Arc::clone(app), admit))
        .merge(watched)
        .route_layer(from_fn_with_state(Arc::clone(app), authorise))
        .merge(open)
        .merge(console::routes())
        .route("/openapi.json", get(described))
        .fallback(not_found)
        .method_not_allowed_fallback(not_allowed)
        .layer(from_fn_with_state(Arc::clone(app), metrics::count))
        .with_state(Arc::clone(app))
}

/// The paths that take nothing behind the `?`. Those that do check it themselves.
fn without_parameters(description: &OpenApi) -> BTreeSet<String> {
    let takes = |operation: &Operation| {
        let is_query = |one: &RefOr<Parameter>| match one {
            RefOr::T(one) => one.parameter_in == ParameterIn::Query,
            RefOr::Ref(_) => false,
        };
        operation.parameters.iter().flatten().any(is_query)
    };
    let bare = description.paths.paths.iter().filter(|(_, path)| {
        let operations = [&path.get, &path.post, &path.patch, &path.delete];
        !operations.into_iter().flatten().any(takes)
    });
    bare.map(|(path, _)| path.clone()).collect()
}

/// Refuses what is behind the `?` where nothing is taken there.
async fn refuse_parameters(
    State(bare): State<Arc<BTreeSet<String>>>,
    path: MatchedPath,
    request: Request,
    next: Next,
) -> Result<Response> {
    let query = request.uri().query().unwrap_or_default();
    if !query.is_empty() && bare.contains(path.as_str()) {
        return Err(Problem::invalid(format!(
            "?{query}: {} takes no parameters; leave them out",
            request.uri().path()
        )));
    }
    Ok(next.run(request).await)
}

/// Lets a request in if there is room for it. Those that may last have room of their own.
async fn admit(
    State(app): Shared,
    path: MatchedPath,
    request: Request,
    next: Next,
) -> Result<Response> {
    if app.is_stopping() {
        return Err(Problem::stopping());
    }
    let _room = match path.as_str() {
        // They take theirs themselves, for as long as they last.
        STREAM | SOCKET => None,
        FETCH | POLL if waits(&request) => Some(app.stream_place()?),
        PRODUCE if produce::is_lines(request.headers()) => Some(app.stream_place()?),
        _ => Some(app.request_place()?),
    };
    Ok(next.run(request).await)
}

/// Whether a request may wait for records. What is wrong with it is said where it is read.
fn waits(request: &Request) -> bool {
    let parameters = Query::<Vec<(String, String)>>::try_from_uri(request.uri());
    parameters.is_ok_and(|Query(all)| {
        all.iter()
            .any(|(name, value)| name == "wait_ms" && !value.trim_start_matches('0').is_empty())
    })
}

/// Lets a request in that knows the token, if there is one.
async fn authorise(State(app): Shared, request: Request, next: Next) -> Result<Response> {
    let Some(token) = &app.config.token else { return Ok(next.run(request).await) };
    let given =
        request.headers().get(header::AUTHORIZATION).map_or(&b""[..], HeaderValue::as_bytes);
    let given = match given.split_at_checked(7) {
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case(b"bearer ") => rest,
        _ => b"",
    };
    if !bool::from(given.ct_eq(token.as_bytes())) {
        return Err(Problem::new(
            StatusCode::UNAUTHORIZED,
            "unauthorized",
            "give the server's token: Authorization: Bearer TOKEN",
        ));
    }
    Ok(next.run(request).await)
}

async fn not_found(request: Request) -> Problem {
    let detail = format!("there is no {}; /openapi.json says what there is", request.uri().path());
    Problem::new(StatusCode::NOT_FOUND, "no_such_path", detail)
}

async fn not_allowed(request: Request) -> Problem {
    let detail = format!("{} is not for {}", request.method(), request.uri().path());
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", detail)
}
