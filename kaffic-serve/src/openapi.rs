//! The description of the API, made from the code.

use utoipa::OpenApi as _;
use utoipa::openapi::OpenApi;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};

#[derive(utoipa::OpenApi)]
#[openapi(
    info(title = "kaffic", description = "A message log with no broker, over HTTP.",
        license(name = "Apache-2.0", identifier = "Apache-2.0")),
    tags((name = "topics", description = "Create, list, describe, alter, delete."),
        (name = "records", description = "Produce, fetch, follow."),
        (name = "groups", description = "Groups, their members and their offsets."),
        (name = "server", description = "Of the server itself.")),
    components(schemas(crate::problem::ProblemBody)),
    security((), ("token" = [])),
)]
struct Head;

/// All but the paths.
pub(crate) fn head() -> OpenApi {
    let mut head = Head::openapi();
    let bearer = HttpBuilder::new()
        .scheme(HttpAuthScheme::Bearer)
        .description(Some("The server's token, if it has one."))
        .build();
    head.components
        .get_or_insert_default()
        .add_security_scheme("token", SecurityScheme::Http(bearer));
    head
}

/// As JSON.
pub(crate) fn text(description: &OpenApi) -> String {
    description.to_pretty_json().unwrap_or_default()
}
