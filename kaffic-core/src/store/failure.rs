//! What a failed request means: for the caller, and for the rate of requests. The client library
//! keeps the status of a response to itself, so it is read from the message (tests with a real
//! connection hold that in place).

use super::filesystem;
use crate::error::ErrorKind;

const STATUS: &str = "Server returned non-2xx status code: ";
/// Longer messages of servers are cut: some send a page.
const LONGEST_MESSAGE: usize = 300;

/// The kind of the error, and what the user can do.
pub(super) fn classify(error: &object_store::Error) -> (ErrorKind, &'static str) {
    use object_store::Error as E;
    match error {
        E::PermissionDenied { .. } => (ErrorKind::Denied, "; check the permissions"),
        E::Unauthenticated { .. } => (ErrorKind::Denied, "; check the credentials"),
        E::NotImplemented { .. } | E::NotSupported { .. } => {
            (ErrorKind::UnsafeStore, "; kaffic can't work on this store")
        }
        E::InvalidPath { .. } => (ErrorKind::Internal, ""),
        // Of a put or a list: an object that is not there is no failure of a get or a delete.
        E::NotFound { .. } => {
            (ErrorKind::InvalidArgument, "; is there such a bucket or container?")
        }
        E::Generic { source, .. } if filesystem::is_permission_denied(source.as_ref()) => {
            (ErrorKind::Denied, "; check the permissions")
        }
        E::Generic { .. } => generic(&innermost(error)),
        _ => (ErrorKind::Unavailable, ""),
    }
}

fn generic(cause: &str) -> (ErrorKind, &'static str) {
    if cause.contains("redirect without LOCATION") {
        return (ErrorKind::InvalidArgument, "; check the region");
    }
    let has = |codes: &[&str]| codes.iter().any(|code| cause.contains(code));
    match status_of(cause) {
        // A request that took the client too long, or the leftover of one.
        Some(400) if has(&["RequestTimeout", "IncompleteBody"]) => (ErrorKind::Unavailable, ""),
        Some(400) if has(&["ExpiredToken", "InvalidToken", "TokenRefreshRequired"]) => {
            (ErrorKind::Denied, "; renew the credentials")
        }
        Some(301 | 307 | 400) => {
            (ErrorKind::InvalidArgument, "; check the store's URL, endpoint and region")
        }
        _ => (ErrorKind::Unavailable, ""),
    }
}

/// Whether the storage asks for fewer requests.
pub(super) fn is_throttle(error: &object_store::Error) -> bool {
    let cause = innermost(error);
    matches!(status_of(&cause), Some(429 | 503)) || cause.contains("<Code>SlowDown</Code>")
}

fn status_of(cause: &str) -> Option<u16> {
    let from = cause.find(STATUS)? + STATUS.len();
    cause.get(from..from + 3)?.parse().ok()
}

fn innermost(error: &(dyn std::error::Error + 'static)) -> String {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}

/// The innermost cause, on one line and short enough to read.
pub(super) fn root_cause(error: &(dyn std::error::Error + 'static)) -> String {
    let text = innermost(error);
    let text = match text.strip_prefix(STATUS) {
        Some(text) => format!("the answer was {}", summary(text)),
        None => text,
    };
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match text.char_indices().nth(LONGEST_MESSAGE) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.trim_end_matches(": ").trim_end_matches(':').to_owned(),
    }
}

/// Of a status and the XML that clouds send with it: the status, the code and the message.
fn summary(text: &str) -> String {
    let status = text.split_once(": ").map_or(text, |(status, _)| status);
    match (element(text, "Code"), element(text, "Message")) {
        (Some(code), Some(message)) => format!("{status}: {code}: {message}"),
        (Some(code), None) => format!("{status}: {code}"),
        _ => text.to_owned(),
    }
}

fn element<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let open = format!("<{name}>");
    let from = text.find(&open)? + open.len();
    let len = text[from..].find(&format!("</{name}>"))?;
    Some(&text[from..from + len])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(text: &str) -> object_store::Error {
        object_store::Error::Generic { store: "S3", source: format!("{STATUS}{text}").into() }
    }

    #[test]
    fn answers_are_told_apart() {
        for (text, kind, throttle) in [
            ("503 Service Unavailable: ", ErrorKind::Unavailable, true),
            ("429 Too Many Requests: ", ErrorKind::Unavailable, true),
            ("500 Internal Server Error: x", ErrorKind::Unavailable, false),
            ("400 Bad Request: <Code>RequestTimeout</Code>", ErrorKind::Unavailable, false),
            ("400 Bad Request: <Code>ExpiredToken</Code>", ErrorKind::Denied, false),
            ("400 Bad Request: <Code>Malformed</Code>", ErrorKind::InvalidArgument, false),
            ("416 Range Not Satisfiable: ", ErrorKind::Unavailable, false),
        ] {
            let error = answer(text);
            assert_eq!((classify(&error).0, is_throttle(&error)), (kind, throttle), "{text}");
        }
    }

    #[test]
    fn messages_are_short() {
        let xml = "403 Forbidden: <?xml?>\n<Error><Code>AccessDenied</Code><Message>No.</Message>";
        assert_eq!(root_cause(&answer(xml)), "the answer was 403 Forbidden: AccessDenied: No.");
        assert_eq!(root_cause(&answer("500 Oh: ")), "the answer was 500 Oh");
        let page = format!("500 Oh: {}", "ä".repeat(1000));
        assert_eq!(root_cause(&answer(&page)).chars().count(), LONGEST_MESSAGE + 1);
    }
}
