//! How `consume` prints a record.

use crate::units;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use kaffic_core::ConsumerRecord;
use std::io::Write;

/// The form of a printed record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Format {
    /// The value's bytes and a newline; a null value is an empty line
    Value,
    /// partition, offset, time, key, value and headers between tabs; control characters and bytes
    /// that are not UTF-8 are escaped (\n, \t, \xff), null is \N
    Text,
    /// One JSON object a line: topic, partition, offset, timestamp, key, value, headers; bytes
    /// that are UTF-8 are strings, others {"base64": "..."}
    Json,
}

impl Format {
    /// Adds the record to `out`.
    pub(crate) fn write(self, record: &ConsumerRecord, out: &mut Vec<u8>) {
        match self {
            Self::Value => out.extend_from_slice(record.value.as_deref().unwrap_or_default()),
            Self::Text => text(record, out),
            Self::Json => json(record, out),
        }
        out.push(b'\n');
    }
}

// Writing to a vector can't fail, hence the results that are dropped below.

fn text(record: &ConsumerRecord, out: &mut Vec<u8>) {
    let time = units::show_time(record.timestamp);
    let _ = write!(out, "{}\t{}\t{time}\t", record.partition, record.offset);
    escaped(record.key.as_deref(), out);
    out.push(b'\t');
    escaped(record.value.as_deref(), out);
    out.push(b'\t');
    for (i, header) in record.headers.iter().enumerate() {
        if i > 0 {
            out.push(b',');
        }
        escaped(Some(header.name.as_bytes()), out);
        out.push(b'=');
        escaped(header.value.as_deref(), out);
    }
}

fn escaped(bytes: Option<&[u8]>, out: &mut Vec<u8>) {
    let Some(bytes) = bytes else { return out.extend_from_slice(b"\\N") };
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            match c {
                '\\' => out.extend_from_slice(b"\\\\"),
                '\n' => out.extend_from_slice(b"\\n"),
                '\r' => out.extend_from_slice(b"\\r"),
                '\t' => out.extend_from_slice(b"\\t"),
                c if c.is_control() => {
                    for byte in c.encode_utf8(&mut [0; 4]).bytes() {
                        let _ = write!(out, "\\x{byte:02x}");
                    }
                }
                c => out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
            }
        }
        for byte in chunk.invalid() {
            let _ = write!(out, "\\x{byte:02x}");
        }
    }
}

fn json(record: &ConsumerRecord, out: &mut Vec<u8>) {
    out.extend_from_slice(b"{\"topic\":");
    string(&record.topic, out);
    let _ = write!(
        out,
        ",\"partition\":{},\"offset\":{},\"timestamp\":{},\"key\":",
        record.partition, record.offset, record.timestamp
    );
    json_bytes(record.key.as_deref(), out);
    out.extend_from_slice(b",\"value\":");
    json_bytes(record.value.as_deref(), out);
    out.extend_from_slice(b",\"headers\":[");
    for (i, header) in record.headers.iter().enumerate() {
        out.extend_from_slice(if i > 0 { b",{\"name\":" } else { b"{\"name\":" });
        string(&header.name, out);
        out.extend_from_slice(b",\"value\":");
        json_bytes(header.value.as_deref(), out);
        out.push(b'}');
    }
    out.extend_from_slice(b"]}");
}

fn json_bytes(bytes: Option<&[u8]>, out: &mut Vec<u8>) {
    match bytes.map(|bytes| (bytes, std::str::from_utf8(bytes))) {
        None => out.extend_from_slice(b"null"),
        Some((_, Ok(text))) => string(text, out),
        Some((bytes, Err(_))) => {
            let _ = write!(out, "{{\"base64\":\"{}\"}}", STANDARD.encode(bytes));
        }
    }
}

fn string(text: &str, out: &mut Vec<u8>) {
    let _ = serde_json::to_writer(out, text);
}

#[cfg(test)]
mod tests {
    use super::*;
    use kaffic_core::Header;
    use serde_json::json;

    fn record() -> ConsumerRecord {
        ConsumerRecord {
            topic: "t".into(),
            partition: 2,
            offset: 7,
            timestamp: 1500,
            key: Some("k\t\"1\"".into()),
            value: Some((&b"\xffv\n\\"[..]).into()),
            headers: vec![Header::new("h", Some("x".into())), Header::new("h", None)],
        }
    }

    fn printed(format: Format, record: &ConsumerRecord) -> Vec<u8> {
        let mut out = Vec::new();
        format.write(record, &mut out);
        out
    }

    #[test]
    fn values_are_printed_as_they_are() {
        assert_eq!(printed(Format::Value, &record()), b"\xffv\n\\\n");
        let null = ConsumerRecord { value: None, ..record() };
        assert_eq!(printed(Format::Value, &null), b"\n");
    }

    #[test]
    fn text_stays_on_one_line_and_tells_null_from_empty() {
        let line = printed(Format::Text, &record());
        let expected = "2\t7\t1970-01-01T00:00:01.500Z\tk\\t\"1\"\t\\xffv\\n\\\\\th=x,h=\\N\n";
        assert_eq!(String::from_utf8(line).unwrap(), expected);
        let empty = ConsumerRecord {
            key: None,
            value: Some("\u{7f}é".into()),
            headers: vec![],
            ..record()
        };
        let expected = "2\t7\t1970-01-01T00:00:01.500Z\t\\N\t\\x7fé\t\n";
        assert_eq!(String::from_utf8(printed(Format::Text, &empty)).unwrap(), expected);
    }

    #[test]
    fn json_is_json() {
        let line = printed(Format::Json, &record());
        assert_eq!(memchr::memchr(b'\n', &line), Some(line.len() - 1));
        assert_eq!(
            serde_json::from_slice::<serde_json::Value>(&line).unwrap(),
            json!({
                "topic": "t", "partition": 2, "offset": 7, "timestamp": 1500,
                "key": "k\t\"1\"", "value": {"base64": "/3YKXA=="},
                "headers": [{"name": "h", "value": "x"}, {"name": "h", "value": null}],
            })
        );
        let null = ConsumerRecord { key: None, value: None, headers: vec![], ..record() };
        let line: serde_json::Value =
            serde_json::from_slice(&printed(Format::Json, &null)).unwrap();
        assert!(line["key"].is_null() && line["value"].is_null());
    }
}
