//! What the cloud keeps of a device, and how a person sees and changes it.

use crate::common::{
    program::{self, Program},
    *,
};
use mqttbytes::QoS;
use serde_json::{json, Value};
use std::{fs, io::Write};

fn ask(client: &mut Client, suffix: &str, params: Value) -> Value {
    let topic = format!("/sys/pk/dk/{suffix}");
    let body = json!({"id": "1", "version": "1.0", "method": suffix.replace('/', "."), "params": params});
    client.publish(&topic, QoS::AtMostOnce, body.to_string());
    client.next_json().1
}

/// Subscribes to the replies.
fn replies(mut client: Client) -> Client {
    let of = |what: &str, verbs: &[&str]| verbs.iter().map(|verb| format!("{what}/{verb}_reply")).collect::<Vec<_>>();
    let kept = ["update", "query", "delete"];
    for suffix in [
        of("thing/attribute", &kept),
        of("thing/tag", &kept),
        of("thing", &["tsltemplate/get", "measurepoint/post"]),
        of("ota/device", &["inform", "getversion"]),
    ]
    .concat()
    {
        client.subscribe(&format!("/sys/pk/dk/{suffix}"), QoS::AtMostOnce);
    }
    client
}

#[test]
fn it_is_there_on_the_next_connection_and_goes_with_the_device() {
    let sim = Sim::start(active());
    let mut client = replies(sim.device(DEVICE_SECRET));
    let attributes = json!({"attributes": {"serial": "7", "limits": {"power": 5.50}}});
    assert_eq!(ask(&mut client, "thing/attribute/update", attributes.clone())["code"], 200);
    assert_eq!(ask(&mut client, "thing/tag/update", json!([{"tagKey": "k", "tagValue": "v"}]))["code"], 200);
    assert_eq!(ask(&mut client, "ota/device/inform", json!({"version": "1.2"}))["code"], 200);
    let mut client = replies(sim.device(DEVICE_SECRET));
    let queried = ask(&mut client, "thing/attribute/query", json!({"attributes": []}));
    assert_eq!(queried["data"], attributes["attributes"]);
    assert_eq!(ask(&mut client, "thing/tag/query", json!({"tags": ["k"]}))["data"], json!({"k": "v"}));
    let thing = sim.cloud.thing(&dk());
    assert_eq!((thing.attributes["serial"].as_str(), thing.version.as_deref()), (Some("7"), Some("1.2")));
    sim.cloud.change_thing(&dk(), |thing| drop(thing.attributes.remove("serial")));
    let queried = ask(&mut client, "thing/attribute/query", json!({"attributes": ["serial"]}));
    assert_eq!(queried["data"], json!({}));
    sim.cloud.remove_device(&dk()).unwrap();
    assert_eq!(sim.cloud.thing(&dk()), Default::default());
}

#[test]
fn the_program_takes_a_model_and_firmware() {
    let mut model = tempfile::NamedTempFile::new().unwrap();
    model.write_all(br#"{"tslMeasurepointMap":{"temperature":{"dataType":"double"}}}"#).unwrap();
    let mut program = Program::start(&["--interactive", "--model", model.path().to_str().unwrap()]);
    let mut client = replies(program.device());
    let data = ask(&mut client, "thing/tsltemplate/get", json!({}))["data"].clone();
    assert_eq!(data["tslMeasurepointMap"]["temperature"]["dataType"], "double");
    let post = |name: &str| json!({"measurepoints": {name: 1}});
    assert_eq!(ask(&mut client, "thing/measurepoint/post", post("temperature"))["code"], 200);
    assert_eq!(ask(&mut client, "thing/measurepoint/post", post("humidity"))["code"], 1204);

    assert_eq!(ask(&mut client, "ota/device/inform", json!({"version": "1"}))["code"], 200);
    program.say(r#"offer @pk/dk {"version":"2","fileUrl":"/file"} on-request"#);
    program.say("thing @pk/dk");
    program.process.expect(r#""version":"1","tasks":[{"task":1,"version":"2","on_request":true,"state":"created"}]"#);
    let firmware = ask(&mut client, "ota/device/getversion", json!({}))["data"].clone();
    assert_eq!(firmware, json!([{"version": "2", "fileUrl": "/file"}]));
}

#[test]
fn a_model_that_is_none_is_refused() {
    let file = tempfile::NamedTempFile::new().unwrap();
    for (text, word) in [("[]", "not a JSON object"), ("{", "EOF")] {
        fs::write(file.path(), text).unwrap();
        let output = program::listening(&["--model", file.path().to_str().unwrap()]).output().unwrap();
        assert!(!output.status.success() && String::from_utf8(output.stderr).unwrap().contains(word));
    }
}
