//! A cloud that the test controls.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{json, Value};

#[derive(Default)]
pub struct Cloud {
    pub logged_in: BTreeSet<String>,
    /// The codes with which it refuses logins.
    pub refused: BTreeMap<String, i32>,
    /// What it does not have in the gateway's topology.
    pub not_in_topology: BTreeSet<String>,
    /// It answers no login.
    pub silent: bool,
    /// It answers late: the host of the test lets the replies arrive.
    pub holds: bool,
    pub max_batch: Option<usize>,
    /// It refuses a batch if it refuses one of it.
    pub all_or_nothing: bool,
    /// When logins came, and who was in them.
    pub logins: Vec<(u64, Vec<String>)>,
    pub logouts: Vec<String>,
    pub topology: Vec<String>,
    pub posts: Vec<String>,
    /// It sends these secrets with the logins by the product secret.
    pub secrets: BTreeMap<String, String>,
    pub answers: Vec<(String, Value)>,
    /// It answers batches of posts with this code; `None`: 200.
    pub batch_code: Option<i32>,
    /// The paths of the gateway's and the sub-devices' data, and the params, with the id.
    pub data: Vec<(String, Value)>,
    /// The topics and ids of posts.
    pub ids: Vec<(String, Value)>,
    /// It answers every so many-th post. `None`: it answers none.
    pub answers_posts: Option<usize>,
}

impl Cloud {
    pub fn key(device: &Value) -> String {
        device["deviceKey"].as_str().unwrap().to_owned()
    }

    pub fn login(&mut self, device: &Value) -> i32 {
        let key = Cloud::key(device);
        if self.not_in_topology.contains(&key) {
            return 740;
        }
        match self.refused.get(&key) {
            Some(code) => *code,
            None => {
                self.logged_in.insert(key);
                200
            }
        }
    }

    pub fn named(&self, device: &Value) -> Value {
        let key = Cloud::key(device);
        let mut named = json!({"productKey": device["productKey"], "deviceKey": key});
        if device["secureMode"] == "3" {
            if let Some(secret) = self.secrets.get(&key) {
                named["deviceSecret"] = secret.as_str().into();
            }
        }
        named
    }

    /// The code, data and message of the answer.
    pub fn answer(&mut self, now: u64, path: &str, params: &Value) -> Option<Value> {
        match path {
            "combine/login" => {
                self.logins.push((now, vec![Cloud::key(params)]));
                let code = self.login(params);
                let data = if code == 200 { self.named(params) } else { json!({}) };
                (!self.silent).then(|| json!({"code": code, "data": data}))
            }
            "combine/login/batch" => {
                let devices = params["subDevices"].as_array().unwrap();
                self.logins.push((now, devices.iter().map(Cloud::key).collect()));
                if self.silent {
                    return None;
                }
                let is_bad = |device: &&Value| self.refused.contains_key(&Cloud::key(device));
                let is_refused = self.max_batch.is_some_and(|max| devices.len() > max)
                    || (self.all_or_nothing && devices.iter().any(|device| is_bad(&device)));
                if is_refused {
                    return Some(json!({"code": 400, "data": {}}));
                }
                let (good, bad): (Vec<_>, Vec<_>) = devices.iter().partition(|device| self.login(device) == 200);
                let list =
                    |devices: Vec<&Value>| devices.into_iter().map(|device| self.named(device)).collect::<Vec<_>>();
                let code = if bad.is_empty() { 200 } else { 723 };
                Some(json!({"code": code, "data": {"loginedSubDevices": list(good), "failedSubDevices": list(bad)}}))
            }
            "thing/measurepoint/post/batch" => {
                (!self.silent).then(|| json!({"code": self.batch_code.unwrap_or(200), "data": {}}))
            }
            "thing/device/register" => {
                let named = |device: &Value| {
                    let key = Cloud::key(device);
                    let secret = self.secrets.entry(key).or_insert_with_key(|key| format!("secret of {key}"));
                    json!({"productKey": device["productKey"], "deviceKey": device["deviceKey"], "deviceSecret": secret})
                };
                let data: Vec<_> = params.as_array().unwrap().iter().map(named).collect();
                (!self.silent).then(|| json!({"code": 200, "data": data}))
            }
            "combine/logout" => {
                self.logged_in.remove(&Cloud::key(params));
                self.logouts.push(Cloud::key(params));
                None
            }
            "thing/topo/add" => {
                let key = Cloud::key(&params[0]);
                self.topology.push(key.clone());
                self.not_in_topology.remove(&key);
                Some(json!({"code": 200, "data": {}}))
            }
            "thing/measurepoint/post" => {
                let is_answered = self.answers_posts.is_some_and(|every| self.posts.len() % every == 0);
                is_answered.then(|| json!({"code": 200, "data": ""}))
            }
            _ => None,
        }
    }
}
