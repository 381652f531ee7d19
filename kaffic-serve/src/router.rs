//! All paths, the description of them, and what every request passes through.

use crate::app::{App, Shared};
use crate::problem::{Problem, Result};
use crate::{fetch, produce, topics};
use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use std::sync::Arc;
use subtle::ConstantTimeEq;
use utoipa::openapi::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// The paths that are in the description of the API.
fn described() -> (Router<Arc<App>>, OpenApi) {
    OpenApiRouter::with_openapi(crate::openapi::head())
        .routes(routes!(topics::create, topics::list))
        .routes(routes!(topics::describe, topics::alter, topics::delete))
        .routes(routes!(topics::offsets))
        .routes(routes!(produce::produce))
        .routes(routes!(fetch::fetch))
        .split_for_parts()
}

/// The service.
pub(crate) fn router(app: &Arc<App>) -> Router {
    let (api, description) = described();
    let description = crate::openapi::text(&description);
    let open = Router::new()
        .route("/openapi.json", get(async move || json(description)))
        .route("/healthz", get(async || "ok\n"));
    api.route_layer(from_fn_with_state(Arc::clone(app), admit))
        .layer(from_fn_with_state(Arc::clone(app), authorise))
        .merge(open)
        .fallback(not_found)
        .method_not_allowed_fallback(not_allowed)
        .with_state(Arc::clone(app))
}

fn json(text: impl IntoResponse) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "application/json")], text)
}

/// Lets a request in if there is room for it.
async fn admit(State(app): Shared, request: Request, next: Next) -> Result<Response> {
    if app.is_stopping() {
        return Err(Problem::stopping());
    }
    let most = app.config.limits.requests;
    let Ok(_room) = app.requests.try_acquire() else {
        return Err(Problem::busy(format!("{most} requests are under way; try again later")));
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
