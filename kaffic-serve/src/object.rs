//! Objects in JSON. Derived structs take arrays too, member by member, which nobody means.

use serde::de::value::MapAccessDeserializer;
use serde::de::{DeserializeOwned, Error as _, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use std::fmt;
use std::marker::PhantomData;

/// What is read from an object, and from nothing else.
pub(crate) struct Object<T>(pub(crate) T);

impl<'de, T: DeserializeOwned> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct OfMap<T>(PhantomData<T>);
        impl<'de, T: DeserializeOwned> Visitor<'de> for OfMap<T> {
            type Value = T;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<T, A::Error> {
                T::deserialize(MapAccessDeserializer::new(map))
            }
        }
        from.deserialize_map(OfMap(PhantomData)).map(Self)
    }
}

/// The longest list in a body. It ends where that many were read, since each may take many times the
/// memory of its text.
pub(crate) const MOST: usize = 10_000;

/// A list that is not longer than [`MOST`].
struct List<T>(Vec<T>);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for List<T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct OfSeq<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for OfSeq<T> {
            type Value = Vec<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Vec<T>, A::Error> {
                let mut all = Vec::new();
                while let Some(one) = seq.next_element()? {
                    if all.len() == MOST {
                        let long = format!("a list of more than {MOST}; send less at once");
                        return Err(A::Error::custom(long));
                    }
                    all.push(one);
                }
                Ok(all)
            }
        }
        from.deserialize_seq(OfSeq(PhantomData)).map(Self)
    }
}

/// A list that has a bound.
pub(crate) fn list<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    from: D,
) -> Result<Vec<T>, D::Error> {
    List::deserialize(from).map(|List(all)| all)
}

/// Several objects.
pub(crate) fn objects<'de, D: Deserializer<'de>, T: DeserializeOwned>(
    from: D,
) -> Result<Vec<T>, D::Error> {
    let all: Vec<Object<T>> = list(from)?;
    Ok(all.into_iter().map(|Object(one)| one).collect())
}

/// Several objects, or null.
pub(crate) fn maybe_objects<'de, D: Deserializer<'de>, T: DeserializeOwned>(
    from: D,
) -> Result<Option<Vec<T>>, D::Error> {
    let all = Option::<List<Object<T>>>::deserialize(from)?;
    Ok(all.map(|List(all)| all.into_iter().map(|Object(one)| one).collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Deserialize)]
    struct One {
        number: u8,
    }

    #[test]
    fn an_array_is_no_object() {
        let read = |text| serde_json::from_str::<Object<One>>(text).map(|Object(one)| one.number);
        assert_eq!(read(r#"{"number":1}"#).unwrap(), 1);
        let error = read("[1]").unwrap_err().to_string();
        assert!(error.contains("expected an object"), "{error}");
    }

    #[test]
    fn a_list_ends_where_it_is_too_long() {
        let read = |text: &str| {
            objects::<_, One>(&mut serde_json::Deserializer::from_str(text)).map(|all| all.len())
        };
        let most = vec![r#"{"number":1}"#; MOST].join(",");
        assert_eq!(read(&format!("[{most}]")).unwrap(), MOST);
        // What is behind that is not looked at, nor kept.
        let error = read(&format!(r#"[{most},{{"number":1}},nonsense"#)).unwrap_err().to_string();
        assert!(error.contains("more than 10000"), "{error}");
    }
}
