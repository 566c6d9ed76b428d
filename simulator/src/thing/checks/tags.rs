//! Tags, which the cloud keeps.

use serde_json::{Map, Value};
use std::collections::BTreeMap;

use super::{at_most, items, nothing, texts, Request, Verdict};

/// Where the documents disagree, the larger limit.
const LONGEST_KEY: usize = 100;
const LONGEST_VALUE: usize = 200;
const KEPT: usize = 200;

pub fn update(request: &mut Request) -> Verdict {
    let tags = items(request.params)?;
    at_most(1220, tags.len())?;
    let pairs: Option<BTreeMap<_, _>> = tags.iter().map(tag).collect();
    let wrong = || {
        let key =
            format!("a \"tagKey\" of at most {LONGEST_KEY} letters, digits and _, which does not begin with a digit");
        (1220, format!("a tag needs {key}, and a \"tagValue\" of 1 to {LONGEST_VALUE} characters"))
    };
    let mut kept = request.thing.tags.clone();
    kept.extend(pairs.ok_or_else(wrong)?);
    if kept.len() > KEPT {
        return Err((1220, format!("a device has at most {KEPT} tags")));
    }
    request.thing.tags = kept;
    nothing()
}

fn tag(tag: &Value) -> Option<(String, String)> {
    let (key, value) = (tag.get("tagKey")?.as_str()?, tag.get("tagValue")?.as_str()?);
    let is_key = (1..=LONGEST_KEY).contains(&key.len())
        && key.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && key.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    let is_value = (1..=LONGEST_VALUE).contains(&value.chars().count());
    (is_key && is_value).then(|| (key.to_owned(), value.to_owned()))
}

/// Without keys: all.
pub fn query(request: &mut Request) -> Verdict {
    let wanted = texts(1220, request.params, "tags")?;
    let tags = request.thing.tags.iter().filter(|(key, _)| wanted.is_empty() || wanted.contains(&key.as_str()));
    Ok(Value::Object(tags.map(|(key, value)| (key.clone(), value.clone().into())).collect::<Map<_, _>>()))
}

/// Without keys: none.
pub fn delete(request: &mut Request) -> Verdict {
    for key in texts(1220, request.params, "tags")? {
        request.thing.tags.remove(key);
    }
    nothing()
}

#[cfg(test)]
mod tests {
    use super::super::tests::{code, Desk};
    use serde_json::{json, Value};

    const UPDATE: &str = "thing/tag/update";

    #[test]
    fn they_are_kept() {
        let mut device = Desk::default();
        let tags = json!([{"tagKey": "_a", "tagValue": "1"}, {"tagKey": "b2", "tagValue": "2"}]);
        assert_eq!(device.code(UPDATE, tags), 200);
        let mut query = |keys: Value| device.ask_with("thing/tag/query", json!({"params": {"tags": keys}}));
        assert_eq!(query(json!([])), (200, json!({"_a": "1", "b2": "2"})));
        assert_eq!(query(json!(["b2", "none"])), (200, json!({"b2": "2"})));
        assert_eq!(device.code("thing/tag/delete", json!({"tags": []})), 200);
        assert_eq!(device.code("thing/tag/delete", json!({"tags": ["b2"]})), 200);
        assert_eq!(device.thing.tags.keys().collect::<Vec<_>>(), ["_a"]);
    }

    #[test]
    fn they_are_limited_and_have_a_form() {
        let tags = |count: usize, key: &str| Value::from(vec![json!({"tagKey": key, "tagValue": "v"}); count]);
        let cases = [(1, "_a"), (200, "a"), (201, "a"), (1, "1a"), (1, ""), (1, "a-b"), (0, "a")];
        assert_eq!(cases.map(|(count, key)| code(UPDATE, tags(count, key))), [200, 200, 1220, 1220, 1220, 1220, 1220]);
        let tag = |key: usize, value: usize| {
            code(UPDATE, json!([{"tagKey": "k".repeat(key), "tagValue": "é".repeat(value)}]))
        };
        assert_eq!([tag(100, 200), tag(101, 1), tag(1, 201), tag(1, 0)], [200, 1220, 1220, 1220]);
        assert_eq!(code(UPDATE, json!([{"tagValue": "v"}])), 1220);
        assert_eq!(code(UPDATE, json!([{"tagKey": "k", "tagValue": 1}])), 1220);
        for what in ["thing/tag/query", "thing/tag/delete"] {
            assert_eq!(code(what, json!({"tags": vec!["a"; 201]})), 1220);
            assert_eq!(code(what, json!({"tags": [1]})), 1220);
        }
        let mut device = Desk::default();
        let many: Vec<_> = (0..200).map(|n| json!({"tagKey": format!("k{n}"), "tagValue": "v"})).collect();
        assert_eq!(device.code(UPDATE, many.into()), 200);
        assert_eq!(device.code(UPDATE, tags(1, "one_more")), 1220);
    }
}
