//! Keys, values and headers as JSON. Bytes that are UTF-8 are strings; all others, and any that one
//! likes, are `{"base64": "…"}`; and what is JSON itself can be `{"json": …}`.

use crate::object::objects;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use kaffic_core::{ConsumerRecord, Header, Record};
use serde::de::{Error as _, MapAccess, Visitor};
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;
use std::fmt;
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{AdditionalProperties, ObjectBuilder, OneOfBuilder, Schema, Type};
use utoipa::{PartialSchema, ToSchema};

/// How bytes are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Show {
    /// Strings where they are UTF-8, else base64.
    #[default]
    Auto,
    /// Always base64.
    Base64,
    /// Values as JSON where they are that; else as `auto`.
    Json,
}

/// Bytes as JSON: on the way in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Data(pub(crate) Bytes);

impl<'de> Deserialize<'de> for Data {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Form;
        impl<'de> Visitor<'de> for Form {
            type Value = Data;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(r#"a string, {"base64": "…"}, {"json": …} or null"#)
            }

            fn visit_str<E>(self, text: &str) -> Result<Data, E> {
                Ok(Data(Bytes::copy_from_slice(text.as_bytes())))
            }

            fn visit_string<E>(self, text: String) -> Result<Data, E> {
                Ok(Data(text.into()))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Data, A::Error> {
                let data = match map.next_key::<String>()?.as_deref() {
                    Some("base64") => {
                        let text: String = map.next_value()?;
                        let bytes = STANDARD.decode(text);
                        bytes.map_err(|error| A::Error::custom(format!("base64: {error}")))?
                    }
                    Some("json") => {
                        let raw: Box<RawValue> = map.next_value()?;
                        String::from(Box::<str>::from(raw)).into_bytes()
                    }
                    _ => return Err(A::Error::custom(r#"an object here has "base64" or "json""#)),
                };
                match map.next_key::<String>()? {
                    None => Ok(Data(data.into())),
                    Some(more) => Err(A::Error::custom(format!("{more:?} beside the bytes"))),
                }
            }
        }
        from.deserialize_any(Form)
    }
}

impl PartialSchema for Data {
    fn schema() -> RefOr<Schema> {
        let one = |name: &str, value: ObjectBuilder| {
            ObjectBuilder::new()
                .schema_type(Type::Object)
                .property(name, value)
                .required(name)
                .additional_properties(Some(AdditionalProperties::FreeForm(false)))
        };
        let text = || ObjectBuilder::new().schema_type(Type::String);
        let base64 = text().pattern(Some(BASE64_PATTERN)).description(Some("Bytes in base64."));
        let any = ObjectBuilder::new()
            .schema_type(utoipa::openapi::schema::SchemaType::AnyValue)
            .description(Some("JSON, kept as it is written."));
        OneOfBuilder::new()
            .description(Some("Bytes: a string for UTF-8, or base64, or JSON."))
            .item(text())
            .item(one("base64", base64))
            .item(one("json", any))
            .into()
    }
}

const BASE64_PATTERN: &str =
    "^([A-Za-z0-9+/]{4})*([A-Za-z0-9+/][AQgw]==|[A-Za-z0-9+/]{2}[AEIMQUYcgkosw048]=)?$";

impl ToSchema for Data {
    fn name() -> std::borrow::Cow<'static, str> {
        "Data".into()
    }
}

/// Bytes as JSON: on the way out.
#[derive(Debug)]
struct Shown<'a>(&'a [u8], Show);

impl Serialize for Shown<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let Self(bytes, show) = *self;
        match std::str::from_utf8(bytes) {
            Ok(text) if show == Show::Json && !text.contains(['\n', '\r']) => {
                match serde_json::from_str::<&RawValue>(text) {
                    Ok(raw) => entry(to, "json", raw),
                    Err(_) => to.serialize_str(text),
                }
            }
            Ok(text) if show != Show::Base64 => to.serialize_str(text),
            _ => entry(to, "base64", &STANDARD.encode(bytes)),
        }
    }
}

/// An object with one entry.
fn entry<S: Serializer, T: Serialize + ?Sized>(
    to: S,
    name: &str,
    value: &T,
) -> Result<S::Ok, S::Error> {
    let mut map = to.serialize_map(Some(1))?;
    map.serialize_entry(name, value)?;
    map.end()
}

/// A header of a record to be produced.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct HeaderIn {
    /// The header's name.
    name: String,
    /// The header's value.
    #[serde(default)]
    value: Option<Data>,
}

/// A record to be produced. Everything may be left out.
#[derive(Debug, Clone, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RecordIn {
    /// Decides the partition, unless one is named, and so the order.
    #[serde(default)]
    pub(crate) key: Option<Data>,
    /// The payload; null, or left out, is a tombstone.
    #[serde(default)]
    pub(crate) value: Option<Data>,
    /// Names and values that travel with the record.
    #[serde(default, deserialize_with = "objects")]
    pub(crate) headers: Vec<HeaderIn>,
    /// Milliseconds since the Unix epoch; the time of arrival by default.
    #[serde(default)]
    pub(crate) timestamp: Option<i64>,
    /// The partition.
    #[serde(default)]
    #[schema(minimum = 0, maximum = 9999)]
    pub(crate) partition: Option<u32>,
}

impl RecordIn {
    pub(crate) fn into_record(self) -> Record {
        let header = |header: HeaderIn| Header::new(header.name, header.value.map(|data| data.0));
        Record {
            key: self.key.map(|data| data.0),
            value: self.value.map(|data| data.0),
            headers: self.headers.into_iter().map(header).collect(),
            timestamp: self.timestamp,
            partition: self.partition,
            sequence: None,
        }
    }
}

/// A record that was read, to be written as JSON.
#[derive(Debug)]
pub(crate) struct RecordOut {
    pub(crate) record: ConsumerRecord,
    pub(crate) show: Show,
}

impl Serialize for RecordOut {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct HeaderShape<'a> {
            name: &'a str,
            value: Option<Shown<'a>>,
        }
        #[derive(Serialize)]
        struct Shape<'a> {
            topic: &'a str,
            partition: u32,
            offset: i64,
            timestamp: i64,
            key: Option<Shown<'a>>,
            value: Option<Shown<'a>>,
            headers: Vec<HeaderShape<'a>>,
        }
        let Self { record, show } = self;
        // JSON is what values are; a key or header that happens to look like a number is text.
        let plain = if *show == Show::Json { Show::Auto } else { *show };
        Shape {
            topic: &record.topic,
            partition: record.partition,
            offset: record.offset,
            timestamp: record.timestamp,
            key: record.key.as_deref().map(|bytes| Shown(bytes, plain)),
            value: record.value.as_deref().map(|bytes| Shown(bytes, *show)),
            headers: record
                .headers
                .iter()
                .map(|header| HeaderShape {
                    name: &header.name,
                    value: header.value.as_deref().map(|bytes| Shown(bytes, plain)),
                })
                .collect(),
        }
        .serialize(to)
    }
}

/// A record that was read.
#[derive(Debug, ToSchema)]
#[schema(as = Record)]
#[expect(dead_code, reason = "it only describes what RecordOut writes")]
pub(crate) struct RecordShape {
    topic: String,
    partition: u32,
    offset: i64,
    timestamp: i64,
    #[schema(required)]
    key: Option<Data>,
    #[schema(required)]
    value: Option<Data>,
    headers: Vec<HeaderOutShape>,
}

/// A header of a record that was read.
#[derive(Debug, ToSchema)]
#[schema(as = RecordHeader)]
#[expect(dead_code, reason = "it only describes what RecordOut writes")]
pub(crate) struct HeaderOutShape {
    name: String,
    #[schema(required)]
    value: Option<Data>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Vec<u8>, String> {
        serde_json::from_str::<Data>(text)
            .map(|data| data.0.to_vec())
            .map_err(|error| error.to_string())
    }

    #[test]
    fn bytes_come_in_three_ways() {
        assert_eq!(read(r#""a\u00e9""#).unwrap(), "a\u{e9}".as_bytes());
        assert_eq!(read(r#"{"base64":"/wA="}"#).unwrap(), [0xff, 0]);
        assert_eq!(read(r#"{"json":{"b": [1.0]}}"#).unwrap(), br#"{"b": [1.0]}"#);
        for bad in ["1", "[]", "{}", r#"{"base64":"?"}"#, r#"{"hex":"00"}"#, r#"{"json":1,"x":2}"#]
        {
            read(bad).unwrap_err();
        }
    }

    #[test]
    fn bytes_go_out_as_they_are_or_as_asked() {
        let show = |bytes: &[u8], show| serde_json::to_string(&Shown(bytes, show)).unwrap();
        assert_eq!(show(b"12", Show::Auto), r#""12""#);
        assert_eq!(show(b"12", Show::Json), r#"{"json":12}"#);
        assert_eq!(show(b"[1,\n2]", Show::Json), r#""[1,\n2]""#);
        assert_eq!(show(b"{", Show::Json), r#""{""#);
        assert_eq!(show(b"12", Show::Base64), r#"{"base64":"MTI="}"#);
        assert_eq!(show(&[0xff], Show::Auto), r#"{"base64":"/w=="}"#);
    }
}
