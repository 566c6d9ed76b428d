//! Attributes, which the cloud keeps.

use serde_json::{Map, Value};

use super::{at_most, nothing, object, texts, Request, Verdict};

/// The limit of attributes that the simulator keeps for a device, and of their size as JSON.
const KEPT: usize = 1000;
const KEPT_BYTES: usize = 1024 * 1024;

pub fn update(request: &mut Request) -> Verdict {
    let attributes = check(request, request.params)?;
    let mut kept = request.thing.attributes.clone();
    kept.extend(attributes.clone());
    if kept.len() > KEPT || Value::Object(kept.clone()).to_string().len() > KEPT_BYTES {
        return Err((1207, format!("the simulator keeps {KEPT} attributes with {KEPT_BYTES} bytes for a device")));
    }
    request.thing.attributes = kept;
    nothing()
}

/// The attributes in these params.
pub fn check<'a>(request: &Request, params: &'a Value) -> Verdict<&'a Map<String, Value>> {
    let attributes = object(1207, params, "attributes")?;
    at_most(1207, attributes.len())?;
    request.check_model("tslAttributeMap", attributes.keys())?;
    Ok(attributes)
}

/// Without identifiers: all.
pub fn query(request: &mut Request) -> Verdict {
    let wanted = texts(1208, request.params, "attributes")?;
    let attributes = &request.thing.attributes;
    Ok(Value::Object(match wanted.is_empty() {
        true => attributes.clone(),
        false => {
            let found = wanted.iter().filter_map(|id| Some(((*id).to_owned(), attributes.get(*id)?.clone())));
            found.collect::<Map<_, _>>()
        }
    }))
}

/// Without identifiers: none.
pub fn delete(request: &mut Request) -> Verdict {
    for id in texts(1209, request.params, "attributes")? {
        request.thing.attributes.remove(id);
    }
    nothing()
}

#[cfg(test)]
mod tests {
    use super::super::tests::{code, Desk};
    use serde_json::{json, Map, Value};

    const UPDATE: &str = "thing/attribute/update";

    #[test]
    fn they_are_kept() {
        let mut device = Desk::default();
        assert_eq!(device.code(UPDATE, json!({"attributes": {"a": 2, "b": {"k": ["v"]}}})), 200);
        assert_eq!(device.code(UPDATE, json!({"attributes": {"a": 3}})), 200);
        let mut query = |ids: Value| device.ask_with("thing/attribute/query", json!({"params": {"attributes": ids}}));
        assert_eq!(query(json!([])), (200, json!({"a": 3, "b": {"k": ["v"]}})));
        assert_eq!(query(json!(["a", "none"])), (200, json!({"a": 3})));
        assert_eq!(device.code("thing/attribute/delete", json!({"attributes": []})), 200);
        assert_eq!(device.thing.attributes.len(), 2);
        assert_eq!(device.code("thing/attribute/delete", json!({"attributes": ["a", "none"]})), 200);
        assert_eq!(device.thing.attributes.keys().collect::<Vec<_>>(), ["b"]);
    }

    #[test]
    fn they_are_limited_and_have_a_form() {
        let attributes =
            |count| json!({"attributes": (0..count).map(|n| (format!("a{n}"), n.into())).collect::<Map<_, _>>()});
        assert_eq!([0, 200, 201].map(|count| code(UPDATE, attributes(count))), [200, 200, 1207]);
        assert_eq!(code(UPDATE, json!({"attributes": ["a"]})), 1207);
        for (what, expected) in [("query", 1208), ("delete", 1209)] {
            let suffix = format!("thing/attribute/{what}");
            assert_eq!(code(&suffix, json!({"attributes": vec!["a"; 200]})), 200);
            for wrong in [json!(vec!["a"; 201]), json!([1]), json!({}), json!(null)] {
                assert_eq!(code(&suffix, json!({"attributes": wrong})), expected);
            }
            assert_eq!(code(&suffix, json!({})), expected);
        }
        let mut device = Desk::default();
        device.config.model = Some(json!({"tslAttributeMap": {"a": {}}}));
        assert_eq!(device.code(UPDATE, json!({"attributes": {"a": 1, "b": 1}})), 1204);
        assert!(device.thing.attributes.is_empty(), "all or nothing");
    }

    #[test]
    fn a_device_cannot_fill_the_memory() {
        let mut device = Desk::default();
        let large = |id: &str| json!({"attributes": {id: "x".repeat(400 * 1024)}});
        assert_eq!(["a", "b", "a", "c"].map(|id| device.code(UPDATE, large(id))), [200, 200, 200, 1207]);
    }
}
