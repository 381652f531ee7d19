//! The console: a page to look at topics and groups, served from the program itself. It uses the
//! API as any client does, and nothing from elsewhere.

use axum::Router;
use axum::http::{HeaderName, header};
use axum::response::{IntoResponse, Redirect};
use axum::routing::get;

/// Only what comes from this server is loaded, run or asked, and nobody may frame it.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; \
     connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

const SCRIPT: &str = "text/javascript; charset=utf-8";

/// The files, by path.
const FILES: [(&str, &str, &str); 13] = [
    ("/", "text/html; charset=utf-8", include_str!("console/index.html")),
    ("/console/style.css", "text/css; charset=utf-8", include_str!("console/style.css")),
    ("/console/icon.svg", "image/svg+xml", include_str!("console/icon.svg")),
    ("/console/api.js", SCRIPT, include_str!("console/api.js")),
    ("/console/browser.js", SCRIPT, include_str!("console/browser.js")),
    ("/console/dom.js", SCRIPT, include_str!("console/dom.js")),
    ("/console/groups.js", SCRIPT, include_str!("console/groups.js")),
    ("/console/main.js", SCRIPT, include_str!("console/main.js")),
    ("/console/produce.js", SCRIPT, include_str!("console/produce.js")),
    ("/console/reference.js", SCRIPT, include_str!("console/reference.js")),
    ("/console/topic.js", SCRIPT, include_str!("console/topic.js")),
    ("/console/topics.js", SCRIPT, include_str!("console/topics.js")),
    ("/console/value.js", SCRIPT, include_str!("console/value.js")),
];

/// The paths of the console.
pub(crate) fn routes<S: Clone + Send + Sync + 'static>() -> Router<S> {
    let reference = get(async || Redirect::temporary("./#/api"));
    let router = Router::new().route("/docs", reference);
    FILES.into_iter().fold(router, |router, (path, kind, text)| {
        router.route(path, get(async move || file(kind, text)))
    })
}

fn file(kind: &'static str, text: &'static str) -> impl IntoResponse {
    let headers = [
        (header::CONTENT_TYPE, kind),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        // A new server may have a new page.
        (header::CACHE_CONTROL, "no-cache"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    ];
    (headers, text)
}
