//! Names, as the description of the API has them. The library checks them.

use utoipa::ToSchema;

/// A name of a topic, a group, a member or a producer: letters, digits, `.`, `_` and `-`, and not `.`
/// or `..`.
#[derive(Debug, ToSchema)]
#[schema(
    min_length = 1,
    max_length = 249,
    pattern = "^([a-zA-Z0-9_-][a-zA-Z0-9._-]*|[.][a-zA-Z0-9_-][a-zA-Z0-9._-]*|[.][.][a-zA-Z0-9._-]+)$"
)]
#[expect(dead_code, reason = "it only describes")]
pub(crate) struct Name(String);
