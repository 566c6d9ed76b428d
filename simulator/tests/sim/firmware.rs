//! Offers of firmware, and what becomes of them.

use crate::common::{gateway, http::get, program, *};
use enos_sim::{Config, DeviceId, Digest, FileUrl, Firmware, HttpConfig, Offer, OfferError, TaskState};
use mqttbytes::QoS;
use serde_json::{json, Value};
use std::fs;

const INFORM: &str = "/sys/pk/dk/ota/device/inform";
const PROGRESS: &str = "/sys/pk/dk/ota/device/progress";
const VERSIONS: &str = "/sys/pk/dk/ota/device/getversion";
const UPGRADE: &str = "/sys/pk/dk/ota/device/upgrade";

fn with_images(config: Config) -> Config {
    let images = ["2.0", "3.0"].map(|version| Firmware::from_bytes(version, format!("image {version}")).unwrap());
    Config { firmware: images.to_vec(), ..config }
}

/// Reports this version.
fn inform<S: std::io::Read + std::io::Write>(client: &mut Client<S>, version: &str) {
    assert_eq!(client.ask(INFORM, json!({"version": version}))["code"], 200);
}

fn progress(client: &mut Client, step: &str) -> Value {
    client.ask(PROGRESS, json!({"step": step, "desc": "words"}))["code"].clone()
}

/// The next publication is an offer, which is answered; its params.
fn take(client: &mut Client) -> Value {
    let (topic, body) = client.next_json();
    assert_eq!(topic, UPGRADE);
    accept(client, &body);
    body["params"].clone()
}

fn accept(client: &mut Client, body: &Value) {
    client.publish(&format!("{UPGRADE}_reply"), QoS::AtMostOnce, json!({"id": body["id"], "code": 200}).to_string());
    client.ping();
}

#[test]
fn an_upgrade_from_the_offer_to_its_success() {
    let (sim, mut client) = Sim::online(with_images(active()));
    let task = sim.cloud.offer(&dk(), Offer::new("2.0").digest(Digest::Md5)).unwrap();
    let state = || sim.cloud.task(&dk(), task).unwrap();
    client.ping();
    assert_eq!(state(), TaskState::Created, "the version of the device is not known");
    assert_eq!(progress(&mut client, "1"), 765);
    inform(&mut client, "1.0");
    let params = take(&mut client);
    let url = params["fileUrl"].as_str().unwrap();
    assert_eq!(
        (&params["version"], &params["signMethod"], &params["fileSize"]),
        (&"2.0".into(), &"md5".into(), &9.into())
    );
    assert_eq!(params["sign"], hex::encode(<md5::Md5 as md5::Digest>::digest("image 2.0")));
    assert_eq!(get(url, &[]).body, b"image 2.0");
    assert_eq!(state(), TaskState::Received);
    assert_eq!(progress(&mut client, "50"), 200);
    assert_eq!(state(), TaskState::InProgress { percent: 50, desc: "words".into() });
    inform(&mut client, "1.0");
    assert_eq!(state(), TaskState::InProgress { percent: 50, desc: "words".into() }, "the old version runs still");
    inform(&mut client, "2.0");
    assert_eq!(state(), TaskState::Succeeded);
    assert_eq!(progress(&mut client, "100"), 764);
    let states = ["created", "pushed", "received", "in_progress", "succeeded"];
    assert_eq!(states.map(|state| sim.wait_for("upgrade")["state"] == state), [true; 5]);
}

#[test]
fn a_failure_and_a_refusal_end_a_task() {
    let (sim, mut client) = Sim::online(with_images(active()));
    inform(&mut client, "1.0");
    for (step, code) in [("-3", -3), ("-5", -5)] {
        let task = sim.cloud.offer(&dk(), Offer::new("2.0")).unwrap();
        take(&mut client);
        assert_eq!(progress(&mut client, step), 200);
        assert_eq!(sim.cloud.task(&dk(), task), Some(TaskState::Failed { code, desc: "words".into() }));
        assert_eq!(progress(&mut client, step), 764);
    }
    let task = sim.cloud.offer(&dk(), Offer::new("2.0")).unwrap();
    take(&mut client);
    assert!(sim.cloud.cancel(&dk(), task) && !sim.cloud.cancel(&dk(), task));
    assert_eq!(progress(&mut client, "10"), 764);
    inform(&mut client, "2.0");
    assert_eq!(sim.cloud.task(&dk(), task), Some(TaskState::Cancelled));
}

#[test]
fn an_offline_device_is_told_at_its_login_until_it_answers() {
    let sim = Sim::start(with_images(active()));
    inform(&mut sim.device(DEVICE_SECRET), "1.0");
    sim.wait_for("closed");
    let task = sim.cloud.offer(&dk(), Offer::new("2.0")).unwrap();
    assert_eq!(sim.cloud.task(&dk(), task), Some(TaskState::Created));
    let mut client = sim.device(DEVICE_SECRET);
    let (topic, first) = client.next_json();
    assert_eq!((topic.as_str(), sim.cloud.task(&dk(), task)), (UPGRADE, Some(TaskState::Pushed)));
    assert_eq!(progress(&mut client, "10"), 765, "it is not answered");
    client.publish(&format!("{UPGRADE}_reply"), QoS::AtMostOnce, json!({"id": first["id"], "code": 500}).to_string());
    client.ping();
    assert_eq!(sim.cloud.task(&dk(), task), Some(TaskState::Pushed), "it is refused");
    let mut client = sim.device(DEVICE_SECRET);
    assert_eq!(take(&mut client), first["params"]);
    let mut client = sim.device(DEVICE_SECRET);
    client.ping();
    assert_eq!(sim.cloud.task(&dk(), task), Some(TaskState::Received), "it is not sent again");
}

#[test]
fn a_device_asks_for_its_firmware() {
    let (sim, mut client) = Sim::online(with_images(active()));
    let task = sim.cloud.offer(&dk(), Offer::new("2.0").on_request().url(FileUrl::Relative)).unwrap();
    let ask = |client: &mut Client| client.ask(VERSIONS, json!({}))["data"].clone();
    assert_eq!(ask(&mut client), json!([]), "its version is not known");
    inform(&mut client, "1.0");
    client.ping();
    assert_eq!(progress(&mut client, "10"), 765);
    let firmware = ask(&mut client);
    assert_eq!((&firmware[0]["version"], &firmware[1]), (&"2.0".into(), &Value::Null));
    assert_eq!(firmware[0]["fileUrl"], format!("/firmware/2.0?task={task}"));
    assert_eq!(progress(&mut client, "10"), 200);
    assert_eq!(ask(&mut client), firmware, "also after a restart");
    inform(&mut client, "2.0");
    assert_eq!((ask(&mut client), sim.cloud.task(&dk(), task)), (json!([]), Some(TaskState::Succeeded)));
}

#[test]
fn two_offers_at_once() {
    let (sim, mut client) = Sim::online(with_images(active()));
    inform(&mut client, "1.0");
    let tasks = ["2.0", "3.0"].map(|version| sim.cloud.offer(&dk(), Offer::new(version)).unwrap());
    let state = |n: usize| sim.cloud.task(&dk(), tasks[n]).unwrap();
    let offers = [client.next_json(), client.next_json()].map(|(_, body)| body);
    assert_eq!([0, 1].map(|n| offers[n]["params"]["version"].clone()), ["2.0", "3.0"]);
    offers.iter().for_each(|body| accept(&mut client, body));
    assert_eq!(progress(&mut client, "-5"), 200);
    assert!(matches!((state(0), state(1)), (TaskState::Received, TaskState::Failed { code: -5, .. })));
    inform(&mut client, "2.0");
    assert_eq!(state(0), TaskState::Succeeded);
}

#[test]
fn an_offer_can_be_wrong() {
    let faults = ["offer=1:wrong-digest", "offer=2:wrong-size", "offer=3:text-size", "offer=4:other-digest"];
    let sim = Sim::start(faulty(with_images(active()), &faults));
    let mut client = sim.device(DEVICE_SECRET);
    inform(&mut client, "1.0");
    let digest = Firmware::from_bytes("2.0", "image 2.0").unwrap().digest(Digest::Sha256).to_owned();
    let mut next = |offer: Offer| {
        sim.cloud.offer(&dk(), offer).unwrap();
        take(&mut client)
    };
    let wrong = next(Offer::new("2.0"));
    assert!(wrong["sign"] != digest.as_str() && wrong["sign"].as_str().unwrap().len() == 64);
    assert_eq!(next(Offer::new("2.0"))["fileSize"], 10);
    assert_eq!(next(Offer::new("2.0"))["fileSize"], "9");
    assert_eq!(next(Offer::new("2.0"))["signMethod"], "crc32");
    let own = next(Offer::new("2.0").sign("00").size("x").url(FileUrl::Other("ftp://x".into())));
    let expected =
        json!({"version": "2.0", "signMethod": "sha256", "sign": "00", "fileSize": "x", "fileUrl": "ftp://x"});
    assert_eq!(own, expected);
    assert_eq!(next(Offer::raw(json!("nothing"))), "nothing");
}

#[test]
fn an_offer_needs_a_device_an_image_and_a_port() {
    let sim = Sim::start(Config { http: Some(HttpConfig::any_port()), ..active() });
    let offer = |offer: Offer| sim.cloud.offer(&dk(), offer);
    assert_eq!(offer(Offer::new("2.0")), Err(OfferError::NoImage));
    sim.cloud.add_firmware(Firmware::from_bytes("2.0", "").unwrap());
    assert_eq!(offer(Offer::new("2.0").url(FileUrl::Https)), Err(OfferError::NoPort));
    assert_eq!(sim.cloud.offer(&DeviceId::new("pk", "x"), Offer::new("2.0")), Err(OfferError::Unknown));
    assert!(offer(Offer::new("2.0")).is_ok());
}

#[test]
fn a_sub_device_is_told_through_its_gateway() {
    let sim = Sim::start(with_images(gateway::behind()));
    let mut client = sim.device(DEVICE_SECRET);
    let sub = gateway::sub(1);
    let topic = |suffix: &str| format!("/sys/{}/{}/ota/device/{suffix}", sub.product_key, sub.device_key);
    gateway::log_in(&mut client, 1);
    assert_eq!(client.ask(&topic("inform"), json!({"version": "1"}))["code"], 200);
    let task = sim.cloud.offer(&sub, Offer::new("2.0")).unwrap();
    let (upgrade, body) = client.next_json();
    assert_eq!(upgrade, topic("upgrade"));
    sim.cloud.log_out(&sub);
    gateway::log_in(&mut client, 1);
    let (_, again) = client.next_json();
    assert_eq!(again["params"], body["params"], "at its next login");
    let answer = json!({"id": again["id"], "code": 200});
    client.publish(&topic("upgrade_reply"), QoS::AtMostOnce, answer.to_string());
    assert_eq!(client.ask(&topic("progress"), json!({"step": "7"}))["code"], 200);
    let state = TaskState::InProgress { percent: 7, desc: String::new() };
    assert_eq!((sim.cloud.task(&sub, task), sim.cloud.tasks(&gateway::gateway())), (Some(state), vec![]));
}

#[test]
fn the_program_serves_and_offers_firmware() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("image.bin");
    fs::write(&file, "image").unwrap();
    let firmware = format!("2.0={}", file.display());
    let mut program =
        program::Program::start(&["--firmware", &firmware, "--http", "0", "--offer", "pk,dk,2.0", "--interactive"]);
    assert_eq!(program.wait_for("listening")["http"], true);
    assert_eq!(program.wait_for("upgrade")["state"], "created");
    let mut client = program.device();
    inform(&mut client, "1.0");
    let params = take(&mut client);
    assert_eq!(get(params["fileUrl"].as_str().unwrap(), &[]).body, b"image");
    let request = program.wait_for("http_request");
    assert_eq!((&request["path"], &request["code"]), (&"/firmware/2.0?task=1".into(), &200.into()));
    assert_eq!(program.wait_for("http_end")["bytes"], 5);
    program.say("faults http:code=404");
    program.say("offer @pk/dk 2.0 md5 relative");
    assert_eq!(take(&mut client)["fileUrl"], "/firmware/2.0?task=2");
    assert_eq!(get(params["fileUrl"].as_str().unwrap(), &[]).code, 404);
    assert_eq!(progress(&mut client, "-2"), 200);
    let next = |program: &mut program::Program, state: &str| {
        std::iter::repeat_with(|| program.wait_for("upgrade")).find(|event| event["state"] == state).unwrap()
    };
    assert_eq!(next(&mut program, "failed")["task"], 2);
    program.say("cancel @pk/dk 1");
    assert_eq!(next(&mut program, "cancelled")["task"], 1);
}
