//! Envision's Python SDK, unchanged, does all that it can against the simulator.

use crate::common::*;
use enos_sim::{Answer, Config, Device, DeviceId, Digest, Firmware, HttpConfig, Methods, Offer, Product, TaskState};
use serde_json::{json, Value};
use std::{
    io::{stderr, Write},
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
};
use support::program::Program;

const SDK: &str = "enos-mqtt-sdk-python==0.1.1";
/// The SDK does not work with later versions.
const PAHO: &str = "paho-mqtt<2";

/// A Python that has the SDK; None, with words, if that is not possible here.
fn python() -> Option<PathBuf> {
    static INSTALLED: OnceLock<Option<PathBuf>> = OnceLock::new();
    INSTALLED.get_or_init(install).clone()
}

/// Installs it at the first run.
fn install() -> Option<PathBuf> {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("python-sdk-0.1.1");
    let (python, done) = (directory.join("bin/python"), directory.join("installed"));
    if !done.exists() {
        let mut venv = Command::new("python3");
        run(venv.args(["-m", "venv", "--clear"]).arg(&directory), "python3 cannot make an environment")?;
        let mut pip = Command::new(&python);
        pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]);
        pip.args(["--timeout", "15", "--retries", "1", SDK, PAHO]);
        run(&mut pip, "pip cannot install Envision's Python SDK: is the registry out of reach?")?;
        std::fs::write(&done, "").unwrap();
    }
    Some(python)
}

fn run(command: &mut Command, failure: &str) -> Option<()> {
    let reason = match command.output() {
        Ok(output) if output.status.success() => return Some(()),
        Ok(output) => String::from_utf8_lossy(&output.stderr).lines().last().unwrap_or_default().to_owned(),
        Err(error) => error.to_string(),
    };
    // Macros like println! are shown only if the test fails.
    let mut shown = stderr();
    writeln!(shown, "\nskipped: {failure} ({reason})").unwrap();
    None
}

/// A cloud as this SDK needs it: some of its methods are wrong, and it misses a CONNACK that comes at once.
fn cloud(config: Config) -> Sim {
    Sim::start(faulty(Config { methods: Methods::Lax, ..config }, &["connack:delay=100"]))
}

struct Sdk(Program);

impl Sdk {
    fn start(python: &Path, sim: &Sim, what: &str, secret: &str) -> Sdk {
        Sdk::run(python, "python_sdk.py", sim, [what, "pk", "dk", secret])
    }

    fn run(python: &Path, script: &str, sim: &Sim, [what, product_key, device_key, secret]: [&str; 4]) -> Sdk {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/sim").join(script);
        let mut command = Command::new(python);
        // A test leaves nothing beside its source.
        command.env("PYTHONDONTWRITEBYTECODE", "1");
        command.arg(script).args([what, &format!("tcp://{}", sim.address()), product_key, device_key, secret]);
        Sdk(Program::listening(&mut command))
    }

    fn next(&mut self) -> Value {
        // Other lines are what the SDK logs.
        let line = self.0.expect("said: ");
        serde_json::from_str(line.trim_start_matches("said: ")).unwrap_or_else(|error| panic!("{line:?}: {error}"))
    }

    /// The answers to requests, until it is ready.
    fn answers(&mut self) -> Vec<(String, Value)> {
        let mut answers = Vec::new();
        loop {
            match self.next() {
                Value::String(_) => return answers,
                // Other lines are about commands.
                answer => answers.extend(answer["request"].as_str().map(|name| (name.to_owned(), answer.clone()))),
            }
        }
    }

    /// The code and the data of the answer to this request.
    fn ask(&mut self, request: &str) -> (Value, Value) {
        self.0.say(&format!("{request}\n"));
        let answer = std::iter::repeat_with(|| self.next()).find(|line| line["request"] == request).unwrap();
        (answer["code"].clone(), answer["data"].clone())
    }
}

/// Each request, and its answer.
fn expected() -> Vec<(&'static str, Value)> {
    let none = json!({});
    let refused = |code: i64| json!({"code": code, "data": {}});
    let fine = |data: Value| json!({"code": 200, "data": data});
    let model = json!({"tslAttributeMap": {}, "tslEventMap": {}, "tslMeasurepointMap": {}, "tslServiceMap": {}});
    vec![
        ("measurepoint.post", fine(none.clone())),
        ("measurepoint.post.struct", fine(none.clone())),
        ("measurepoint.batch", fine(none.clone())),
        ("measurepoint.batch.flags", fine(none.clone())),
        ("measurepoint.resume", fine(none.clone())),
        ("measurepoint.resume.quality", fine(none.clone())),
        ("measurepoint.resume.batch", fine(none.clone())),
        ("event.post", fine(none.clone())),
        ("raw.up", json!({"payload": "0100ff"})),
        ("model.get", fine(model)),
        ("attribute.update", fine(none.clone())),
        ("attribute.query", fine(json!({"a": 2}))),
        ("attribute.query.all", fine(json!({"a": 2, "b": {"k": "v"}}))),
        ("attribute.delete", fine(none.clone())),
        ("attribute.query.rest", fine(json!({"b": {"k": "v"}}))),
        ("tag.update", fine(none.clone())),
        ("tag.query", fine(json!({"t": "v"}))),
        ("tag.delete", fine(none.clone())),
        ("tag.query.rest", fine(json!({"u": "w"}))),
        ("ota.inform", fine(none)),
        ("ota.getversion", fine(json!([]))),
        ("ota.progress", refused(764)),
        ("ota.progress.failed", refused(764)),
        ("register", refused(1009)),
        ("topo.add", refused(1255)),
        ("topo.get", refused(1200)),
        ("topo.delete", refused(1256)),
        ("login", refused(740)),
        ("login.batch", refused(740)),
        ("logout", refused(740)),
        ("integration.measurepoint", refused(1009)),
        ("integration.event", refused(1009)),
        ("integration.attribute", refused(1009)),
        ("integration.raw", refused(1009)),
    ]
}

#[test]
fn everything_that_the_python_sdk_can_do() {
    let Some(python) = python() else { return };
    let sim = cloud(Config { http: Some(HttpConfig::any_port()), ..active() });
    let mut sdk = Sdk::start(&python, &sim, "device", DEVICE_SECRET);
    let answers = sdk.answers();
    let answers: Vec<_> = answers.iter().filter(|(name, _)| name != "asynchronous").collect();
    for ((name, answer), (wanted, mut expected)) in answers.iter().zip(expected()) {
        expected["request"] = wanted.into();
        assert_eq!((name.as_str(), answer), (wanted, &expected));
    }
    assert_eq!(answers.len(), expected().len());

    let call = |suffix: &str, params: Value| -> Answer { sim.cloud.call(&dk(), suffix, params).expect(suffix) };
    let data = |answer: Answer| (answer.code, answer.json()["data"].clone());
    assert_eq!(data(call("thing/service/multiply", json!({"a": 6, "b": 7}))), (Some(200), json!({"r": 42})));
    assert_eq!(call("thing/service/other", json!({})).code, Some(2001));
    assert_eq!(call("thing/service/fails", json!({})).code, Some(500));
    assert_eq!(data(call("thing/service/measurepoint/set", json!({"p": 1}))).0, Some(200));
    assert_eq!(data(call("thing/service/measurepoint/get", json!(["p"]))), (Some(200), json!({"p": 7})));
    assert_eq!(call("thing/model/down_raw", json!("00ff10")).payload, [0x10, 0xff, 0]);
    for what in ["enable", "disable", "delete"] {
        assert_eq!(call(&format!("combine/{what}"), json!([{"productKey": "s", "deviceKey": "d"}])).code, Some(200));
    }

    assert_eq!(sdk.ask("ota.progress").0, 764);
    upgrades(&sim, &mut sdk);
    assert_eq!(sim.cloud.open_commands(&dk()), 0);
}

/// The device has reported the version 1.0 already.
fn upgrades(sim: &Sim, sdk: &mut Sdk) {
    for version in ["1.0", "2.0"] {
        sim.cloud.add_firmware(Firmware::from_bytes(version, "image").unwrap());
    }
    let failed = sim.cloud.offer(&dk(), Offer::new("2.0").digest(Digest::Md5)).unwrap();
    sim.wait_for_task(failed, "received");
    assert_eq!(sdk.ask("ota.progress").0, 200);
    let progress = TaskState::InProgress { percent: 20, desc: "twenty".into() };
    assert_eq!(sim.cloud.task(&dk(), failed), Some(progress));
    assert_eq!(sdk.ask("ota.progress.failed").0, 200);
    let failure = TaskState::Failed { code: -2, desc: "no download".into() };
    assert_eq!(sim.cloud.task(&dk(), failed), Some(failure));
    assert_eq!(sdk.ask("ota.progress").0, 764, "it has ended");

    let done = sim.cloud.offer(&dk(), Offer::new("1.0")).unwrap();
    sim.wait_for_task(done, "received");
    assert_eq!(sdk.ask("ota.inform").0, 200, "the version of the task");
    assert_eq!(sim.cloud.task(&dk(), done), Some(TaskState::Succeeded));

    assert_eq!(sdk.ask("ota.getversion"), (json!(200), json!([])));
    let asked = sim.cloud.offer(&dk(), Offer::new("2.0").on_request()).unwrap();
    let (code, data) = sdk.ask("ota.getversion");
    let digest = "6105d6cc76af400325e94d588ce511be5bfdbb73b437dc51eca43917d7a43e3d";
    let url = format!("{}/firmware/2.0?task={asked}", sim.cloud.http_url().unwrap());
    let firmware = json!({"version": "2.0", "signMethod": "sha256", "sign": digest, "fileUrl": url, "fileSize": 5});
    assert_eq!((code, data), (json!(200), json!([firmware])));
    assert_eq!(sim.cloud.task(&dk(), asked), Some(TaskState::Received));
    assert_eq!(sdk.ask("ota.progress").0, 200);
}

#[test]
fn the_python_sdk_without_handlers_answers_that_it_has_none() {
    let Some(python) = python() else { return };
    let sim = cloud(active());
    sim.cloud.command_cached(&dk(), "thing/service/kept", json!({})).unwrap();
    let mut sdk = Sdk::start(&python, &sim, "plain", DEVICE_SECRET);
    assert_eq!(sim.wait_for("command_reply")["code"], 1101, "for a command that came with the login");
    sdk.answers();
    assert_eq!(sim.cloud.call(&dk(), "thing/service/x", json!({})).unwrap().code, Some(1101), "a text in JSON");
    sdk.0.say("reconnect\n");
    sdk.answers();
    assert_eq!(sim.cloud.call(&dk(), "thing/service/x", json!({})).unwrap().code, Some(1101), "after a reconnect");
}

#[test]
fn the_python_sdk_activates_a_device() {
    let Some(python) = python() else { return };
    let sim = cloud(Config { devices: vec![Device::inactive(dk(), PRODUCT_SECRET)], ..config() });
    let mut sdk = Sdk::start(&python, &sim, "activate", PRODUCT_SECRET);
    let secret = sdk.next()["activated"].as_str().unwrap().to_owned();
    assert_eq!(sim.wait_for("activation_reply")["code"], 200);
    drop(sdk);
    let mut sdk = Sdk::start(&python, &sim, "plain", &secret);
    sdk.answers();
    assert!(sim.cloud.device(&dk()).unwrap().active);
}

fn sub(key: &str) -> DeviceId {
    DeviceId::new("subPK", key)
}

/// A gateway, and the sub-devices of the script.
fn gateway() -> Sim {
    let gateway = Device::active(dk(), DEVICE_SECRET).gateway();
    let disabled = Device { enabled: false, ..Device::active(sub("disabled"), "disabledDS").behind(dk()) };
    let dynamic = Device::inactive(sub("dynamic"), "subPS").behind(dk());
    let devices = vec![gateway, Device::active(sub("known"), "knownDS"), disabled, dynamic];
    let products = vec![Product { product_key: "subPK".into(), product_secret: "subPS".into() }];
    cloud(Config { devices, products, ..config() })
}

fn named(key: &str) -> Value {
    json!({"productKey": "subPK", "deviceKey": key})
}

fn with_asset(key: &str) -> Value {
    json!({"assetId": format!("asset-{key}"), "productKey": "subPK", "deviceKey": key})
}

fn check(answers: Vec<(String, Value)>, expected: &[(&str, i64, Value)]) {
    for ((name, answer), (wanted, code, data)) in answers.iter().zip(expected) {
        assert_eq!((name.as_str(), &answer["code"], &answer["data"]), (*wanted, &json!(code), data));
    }
    assert_eq!(answers.len(), expected.len());
}

#[test]
fn the_python_sdk_is_a_gateway() {
    let Some(python) = python() else { return };
    let sim = gateway();
    let mut sdk = Sdk::run(&python, "python_gateway.py", &sim, ["gateway", "pk", "dk", DEVICE_SECRET]);
    let mut answers = sdk.answers();
    let at = answers.iter().position(|(name, _)| name == "login.dynamic").unwrap();
    let (_, dynamic) = answers.remove(at);
    let none = json!({});
    let batch = json!({"loginedSubDevices": [with_asset("known")], "failedSubDevices": [named("disabled")]});
    check(
        answers,
        &[
            ("register", 200, json!([with_asset("new")])),
            ("login.stranger", 740, none.clone()),
            ("topo.add", 200, none.clone()),
            ("topo.get", 200, json!([named("disabled"), named("dynamic"), named("known"), named("new")])),
            ("post.early", 1009, none.clone()),
            ("login", 200, with_asset("new")),
            ("post", 200, none.clone()),
            ("attribute.update", 200, none.clone()),
            ("attribute.query", 200, json!({"a": 2})),
            ("login.batch", 723, batch),
            ("post.batch", 200, none.clone()),
            ("post.dynamic", 200, none.clone()),
        ],
    );
    let secret = sim.cloud.device(&sub("dynamic")).unwrap().device_secret.unwrap();
    assert_eq!((&dynamic["code"], &dynamic["secret"]), (&json!(200), &json!(secret.expose())));
    let online: Vec<_> = sim.cloud.sub_devices_online().into_iter().map(|(id, _)| id.device_key).collect();
    assert_eq!(online, ["dynamic", "known", "new"]);

    let call = |key: &str, suffix: &str, params: Value| sim.cloud.call(&sub(key), suffix, params).expect(suffix);
    let product = call("known", "thing/service/multiply", json!({"a": 6, "b": 7}));
    assert_eq!((product.code, &product.json()["data"]), (Some(200), &json!({"r": 42})));
    assert_eq!(call("new", "thing/service/measurepoint/get", json!(["p"])).json()["data"], json!({"p": 7}));
    assert_eq!(call("new", "thing/service/measurepoint/set", json!({"p": 1})).code, Some(200));
    sim.cloud.disable(&sub("known")).unwrap();
    let answered = || std::iter::repeat_with(|| sim.wait_for("command_reply"));
    let told = answered().find(|reply| reply["topic"] == "/ext/session/pk/dk/combine/disable_reply").unwrap();
    assert_eq!(told["code"], 200);

    sdk.0.say("\n");
    let data = named("new");
    let late = [
        ("topo.delete.online", 1256, none.clone()),
        ("logout", 200, data),
        ("post.late", 1009, none.clone()),
        ("topo.delete", 200, none),
    ];
    check(sdk.answers(), &late);
}

#[test]
fn the_python_sdk_is_an_integration_channel() {
    let Some(python) = python() else { return };
    let sim = gateway();
    let mut sdk = Sdk::run(&python, "python_gateway.py", &sim, ["channel", "subPK", "-", "subPS"]);
    let answers = sdk.answers().into_iter();
    let short = answers.map(|(name, answer)| (name, answer["code"].clone(), answer["payload"].clone()));
    let expected = [
        ("measurepoint", json!(200), Value::Null),
        ("measurepoint.unknown", json!(1257), Value::Null),
        ("event", json!(200), Value::Null),
        ("attribute", json!(200), Value::Null),
        ("raw.up", Value::Null, json!("0100ff")),
    ];
    assert_eq!(short.collect::<Vec<_>>(), expected.map(|(name, code, payload)| (name.to_owned(), code, payload)));
}
