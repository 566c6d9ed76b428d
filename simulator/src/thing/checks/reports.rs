//! The model, and reports of which the simulator keeps nothing.

use serde_json::{json, Value};

use super::{no_params, nothing, optional, time, Request, Verdict};

/// `thing/tsltemplate/get`
pub fn model(request: &mut Request) -> Verdict {
    no_params(request)?;
    let maps = ["tslAttributeMap", "tslMeasurepointMap", "tslServiceMap", "tslEventMap"];
    let mut model = request.model.cloned().unwrap_or_else(|| json!({}));
    for map in maps {
        if model.get(map).is_none() {
            model[map] = json!({});
        }
    }
    Ok(model)
}

/// `thing/log/post`: each member is optional.
pub fn log(request: &mut Request) -> Verdict {
    no_params(request)?;
    time(1220, request.params, "time")?;
    match request.params.get("logs") {
        None => {}
        Some(logs @ Value::Object(_)) => {
            optional(logs, &["traceId", "level", "module", "content"], "a string", Value::is_string)?;
        }
        Some(_) => return Err((1220, "\"logs\" is not an object".to_owned())),
    }
    nothing()
}

/// `network/status/report`
pub fn network(request: &mut Request) -> Verdict {
    no_params(request)?;
    time(1220, request.params, "reportTime")?;
    time(1220, request.params, "collectTime")?;
    optional(request.params, &["rssi", "snr", "packetLossRate"], "a number", Value::is_number)?;
    optional(request.params, &["networkType", "errorInfo"], "a string", Value::is_string)?;
    nothing()
}

/// `connection/state/post`: nodes, each connected (1), disconnected (2) or unknown (3).
pub fn connections(request: &mut Request) -> Verdict {
    let params = request.params;
    let nodes = params.get("nodes").and_then(Value::as_array);
    let nodes = nodes.ok_or_else(|| (1220, "\"nodes\" in the params is not an array".to_owned()))?;
    for node in nodes {
        if node.get("nodeId").and_then(Value::as_str).is_none_or(str::is_empty) {
            return Err((1220, "a node has no \"nodeId\"".to_owned()));
        }
        if !node.get("state").and_then(Value::as_u64).is_some_and(|state| (1..=3).contains(&state)) {
            return Err((1220, "the \"state\" of a node is not 1, 2 or 3".to_owned()));
        }
        optional(node, &["name", "assetId"], "a string", Value::is_string)?;
    }
    optional(params, &["isFull"], "true or false", Value::is_boolean)?;
    optional(params, &["relations"], "an object", Value::is_object)?;
    time(1220, params, "reportTime")?;
    let is_full = params.get("isFull") == Some(&Value::Bool(true));
    // Java sends an empty object in any case.
    let has_relations = params.get("relations").and_then(Value::as_object).is_some_and(|map| !map.is_empty());
    match has_relations && !is_full {
        true => Err((1220, "\"relations\" are only for a full report".to_owned())),
        false => nothing(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{code, Desk};
    use super::*;

    #[test]
    fn the_model_has_its_four_maps() {
        let mut device = Desk::default();
        let get = |device: &mut Desk| device.ask_with("thing/tsltemplate/get", json!({"params": {}}));
        let (code, data) = get(&mut device);
        assert_eq!((code, data.as_object().unwrap().len()), (200, 4));
        assert!(["Attribute", "Measurepoint", "Service", "Event"]
            .iter()
            .all(|of| data[format!("tsl{of}Map")].is_object()));
        device.config.model = Some(json!({"tslEventMap": {"alarm": {"level": "int"}}, "name": "inverter"}));
        let (_, data) = get(&mut device);
        assert_eq!((&data["tslEventMap"]["alarm"]["level"], &data["tslServiceMap"]), (&json!("int"), &json!({})));
        assert_eq!(device.code("thing/tsltemplate/get", json!([])), 1220);
    }

    #[test]
    fn reports_have_a_form() {
        let log = |params| code("thing/log/post", params);
        for right in [json!({}), json!({"logs": {}}), json!({"logs": {"level": "info", "content": "x"}, "time": 1})] {
            assert_eq!(log(right), 200);
        }
        for wrong in [json!([]), json!({"logs": []}), json!({"logs": {"level": 1}}), json!({"time": "1"})] {
            assert_eq!(log(wrong), 1220);
        }
        let network = |params| code("network/status/report", params);
        assert_eq!(network(json!({"reportTime": 1, "rssi": -70.5, "packetLossRate": 0, "networkType": "4G"})), 200);
        for wrong in [json!([]), json!({"rssi": "-70"}), json!({"networkType": 4}), json!({"collectTime": -1})] {
            assert_eq!(network(wrong), 1220);
        }
    }

    #[test]
    fn the_nodes_of_a_connection_report() {
        let post = |params| code("connection/state/post", params);
        let node = json!({"nodeId": "#1", "state": 1, "name": "root"});
        assert_eq!(post(json!({"nodes": [node], "isFull": true, "relations": {"#1": ["#2"]}, "reportTime": 1})), 200);
        assert_eq!(post(json!({"nodes": [node], "isFull": false, "relations": {}})), 200);
        for wrong in [
            json!({}),
            json!({"nodes": [{"nodeId": "", "state": 1}]}),
            json!({"nodes": [{"nodeId": "#1", "state": 4}]}),
            json!({"nodes": [{"nodeId": "#1", "state": "1"}]}),
            json!({"nodes": [node], "isFull": 1}),
            json!({"nodes": [node], "relations": {"#1": []}}),
        ] {
            assert_eq!(post(wrong.clone()), 1220, "{wrong}");
        }
    }
}
