//! All paths, the description of them, and what every request passes through.

use crate::app::{App, Shared};
use crate::problem::{Problem, Result};
use crate::{
    console, fetch, groups, health, membership, metrics, produce, sizes, socket, stream, topics,
};
use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::Response;
use axum::routing::get;
use bytes::Bytes;
use std::sync::Arc;
use subtle::ConstantTimeEq;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// The paths that need the token, and those that do not.
fn paths() -> (OpenApiRouter<Arc<App>>, OpenApiRouter<Arc<App>>) {
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
        .routes(routes!(membership::commit))
        .routes(routes!(metrics::metrics));
    let open =
        OpenApiRouter::new().routes(routes!(health::healthz)).routes(routes!(health::readyz));
    (guarded, open)
}

/// The service.
pub(crate) fn router(app: &Arc<App>) -> Router {
    let (guarded, open) = paths();
    let (guarded, mut description) = guarded.split_for_parts();
    let (open, more) = open.split_for_parts();
    description.paths.paths.extend(more.paths.paths);
    let description = Bytes::from(crate::openapi::text(&description));
    let described = async move || ([(header::CONTENT_TYPE, "application/json")], description);
    guarded
        .route_layer(from_fn_with_state(Arc::clone(app), admit))
        .route_layer(from_fn_with_state(Arc::clone(app), authorise))
        .merge(open)
        .merge(console::routes())
        .route("/openapi.json", get(described))
        .fallback(not_found)
        .method_not_allowed_fallback(not_allowed)
        .layer(from_fn_with_state(Arc::clone(app), metrics::count))
        .with_state(Arc::clone(app))
}

/// Lets a request in if there is room for it. Those that wait have room of their own, and streams
/// take theirs for as long as they last.
async fn admit(State(app): Shared, request: Request, next: Next) -> Result<Response> {
    if app.is_stopping() {
        return Err(Problem::stopping());
    }
    let path = request.uri().path();
    if path.ends_with("/stream") || path.ends_with("/ws") {
        return Ok(next.run(request).await);
    }
    let _room = match request.uri().query().is_some_and(|query| query.contains("wait_ms=")) {
        true => app.stream_place()?,
        false => app.request_place()?,
    };
    Ok(next.run(request).await)
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
