//! Logins and logouts of sub-devices: `combine/login`, `combine/login/batch` and `combine/logout`.

use serde_json::{json, Value};

use super::{named, text, Request, Signing, Verdict};
use crate::{config::Completed, event::Event, gateways::SubLogin, login::Mode, DeviceId};

/// A login that is asked for.
struct Asked {
    id: DeviceId,
    mode: Mode,
    sign: String,
}

impl Asked {
    fn read(value: &Value) -> Verdict<Asked> {
        let mode = match value.get("secureMode") {
            // Some of Envision's SDKs leave it out.
            None | Some(Value::Null) => Mode::Device,
            Some(_) => match text(value, "secureMode")?.as_str() {
                "2" => Mode::Device,
                "3" => Mode::Product,
                other => return Err((1220, format!("the \"secureMode\" {other} is neither 2 nor 3"))),
            },
        };
        Ok(Asked { id: named(value)?, mode, sign: text(value, "sign")? })
    }
}

pub fn login(request: &mut Request) -> Verdict {
    gateways_only(request)?;
    let asked = Asked::read(request.params)?;
    let signing = Signing::of(request.params)?;
    let outcome = may_log_in(request, &signing, &asked, 0).map(|()| log_in(request, &asked));
    tell(request, &asked, false, outcome.as_ref().err());
    outcome
}

/// A login that fails does not keep the others from theirs, unless the configuration says so.
pub fn batch(request: &mut Request) -> Verdict {
    gateways_only(request)?;
    let signing = Signing::of(request.params)?;
    let asked = request.params.get("subDevices").and_then(Value::as_array).filter(|asked| !asked.is_empty());
    let asked = asked.ok_or_else(|| (1220, "\"subDevices\" is not an array with items".to_owned()))?;
    let asked: Vec<_> = asked.iter().map(Asked::read).collect::<Verdict<_>>()?;
    let config = &request.session.config.gateways;
    let most = config.batch.unwrap_or(usize::MAX);
    let (mut logged_in, mut failed, mut reasons, mut first) = (Vec::new(), Vec::new(), String::new(), 200);
    let all_or_nothing = config.all_or_nothing;
    if asked.len() > most {
        first = 460;
        reasons = format!("{} sub-devices in one batch; {most} are the most", asked.len());
    } else if let Some((code, reason)) = all_or_nothing.then(|| first_failure(request, &signing, &asked)).flatten() {
        (first, reasons) = (code, reason);
    } else {
        for asked in &asked {
            let outcome = may_log_in(request, &signing, asked, 0).map(|()| log_in(request, asked));
            tell(request, asked, true, outcome.as_ref().err());
            match outcome {
                Ok(entry) => logged_in.push(entry),
                Err((code, reason)) => {
                    first = if first == 200 { code } else { first };
                    reasons += &format!("{}&{} has error: {reason}; ", asked.id.product_key, asked.id.device_key);
                    failed.push(json!({"productKey": asked.id.product_key, "deviceKey": asked.id.device_key}));
                }
            }
        }
    }
    let event = Event::LoginBatch { size: asked.len(), logged_in: logged_in.len(), code: first };
    request.session.tell(request.device, event);
    request.outcome = (first, reasons.trim_end().to_owned());
    Ok(json!({"loginedSubDevices": logged_in, "failedSubDevices": failed}))
}

fn first_failure(request: &mut Request, signing: &Signing, asked: &[Asked]) -> Option<(i64, String)> {
    let mut new = 0;
    let failure = |asked: &Asked| {
        let failure = may_log_in(request, signing, asked, new).err();
        new += usize::from(!request.session.gateways.is_on(&asked.id, request.session.connection));
        failure.map(|failure| (asked.id.clone(), failure))
    };
    let (id, (code, reason)) = asked.iter().find_map(failure)?;
    for asked in asked {
        tell(request, asked, true, Some(&(code, format!("{id}: {reason}"))));
    }
    Some((code, format!("{}&{} has error: {reason};", id.product_key, id.device_key)))
}

/// The reply names the sub-device.
pub fn logout(request: &mut Request) -> Verdict {
    gateways_only(request)?;
    let id = named(request.params)?;
    if !request.owns(&id) {
        return Err((740, format!("{id} is not in the topology of this gateway")));
    }
    if !request.session.gateways.is_on(&id, request.session.connection) {
        return Err((1009, format!("{id} is not logged in")));
    }
    request.session.gateways.log_out(&id);
    let gateway = request.device.clone();
    request.session.tell(&id, Event::SubDeviceOffline { gateway, reason: "by the gateway".to_owned() });
    Ok(json!({"productKey": id.product_key, "deviceKey": id.device_key}))
}

fn gateways_only(request: &Request) -> Verdict<()> {
    match request.is_gateway() {
        true => Ok(()),
        false => Err((740, "the device is not a gateway, so no sub-device belongs to it".to_owned())),
    }
}

/// `earlier` logins of the same request come before it.
fn may_log_in(request: &Request, signing: &Signing, asked: &Asked, earlier: usize) -> Verdict<()> {
    let session = &request.session;
    let device = session.registry.find(&asked.id).ok_or_else(|| (705, "there is no such device".to_owned()))?;
    if !device.gateways.contains(request.device) {
        return Err((740, "the device is not in the topology of this gateway".to_owned()));
    }
    if !device.enabled {
        return Err((723, "the device is disabled".to_owned()));
    }
    if asked.mode == Mode::Product {
        if device.product_secret.is_none() {
            return Err((770, "the product does not allow dynamic activation".to_owned()));
        }
        if device.active {
            return Err((770, "the device is active: its product-secret logins have ended".to_owned()));
        }
    }
    signing.verify(request, &device, asked.mode, &asked.sign)?;
    match session.gateways.is_full(&asked.id, session.connection, earlier, &session.config.gateways) {
        true => Err((429, format!("{} sub-devices are the most for a gateway", session.config.gateways.online))),
        false => Ok(()),
    }
}

/// The entry of the reply. It has the secret of one that is activated.
fn log_in(request: &mut Request, asked: &Asked) -> Value {
    let session = &mut *request.session;
    let login = SubLogin { gateway: request.device.clone(), connection: session.connection };
    let elsewhere = session.gateways.log_in(&asked.id, login);
    let activation = session.config.activation;
    let mut issued = None;
    if asked.mode == Mode::Product {
        issued = session.registry.issue(&asked.id, activation.second_login);
    }
    let (secret, saved) = issued.map_or((None, Ok(())), |(secret, saved)| (Some(secret), saved));
    let mut activated = Ok(false);
    if asked.mode == Mode::Device || activation.completed == Completed::Push {
        activated = session.registry.activate(&asked.id);
    }
    if let Some(elsewhere) = elsewhere {
        let reason = format!("the sub-device has logged in through {}", request.device);
        let event = Event::SubDeviceOffline { gateway: elsewhere.gateway, reason };
        session.events.push((elsewhere.connection, asked.id.clone(), event));
    }
    if let Ok(true) = activated {
        session.tell(&asked.id, Event::Activated);
    }
    let asset_id = session.registry.find(&asked.id).map(|device| device.asset_id());
    request.saved(saved);
    request.saved(activated.map(drop));
    let mut entry = json!({"assetId": asset_id, "productKey": asked.id.product_key, "deviceKey": asked.id.device_key});
    if let Some(secret) = secret {
        entry["deviceSecret"] = secret.expose().into();
    }
    entry
}

fn tell(request: &mut Request, asked: &Asked, batch: bool, failure: Option<&(i64, String)>) {
    let (code, message) = failure.cloned().unwrap_or((200, String::new()));
    let secure_mode = if asked.mode == Mode::Product { 3 } else { 2 };
    let gateway = request.device.clone();
    request.session.tell(&asked.id, Event::SubDeviceLogin { gateway, secure_mode, batch, code, message });
}

#[cfg(test)]
mod tests {
    use super::super::super::tests::{signed, Desk};
    use super::*;
    use crate::{config::CountedAs, Device};

    const LOGIN: &str = "combine/login";
    const BATCH: &str = "combine/login/batch";

    /// A gateway with all of its sub-devices in the topology.
    fn desk() -> Desk {
        let mut desk = Desk::gateway();
        let items = json!([signed("s1", "ds"), signed("s2", "ds"), signed("s3", "ds"), signed("new", "ps")]);
        assert_eq!(desk.code("thing/topo/add", items), 200);
        desk
    }

    fn batch(keys: &[(&str, &str)]) -> Value {
        let items = keys.iter().map(|(key, secret)| {
            let whole = signed(key, secret);
            let mode = if *secret == "ps" { "3" } else { "2" };
            json!({"productKey": "pk", "deviceKey": key, "sign": whole["sign"], "secureMode": mode})
        });
        let whole = signed("s1", "ds");
        json!({
            "clientId": whole["clientId"], "timestamp": whole["timestamp"], "signMethod": whole["signMethod"],
            "subDevices": items.collect::<Vec<_>>(),
        })
    }

    #[test]
    fn a_login_is_checked() {
        let mut desk = desk();
        let name = |key: &str| json!({"productKey": "pk", "deviceKey": key});
        assert_eq!(desk.code("combine/logout", name("s1")), 1009);
        let (code, data) = desk.ask(LOGIN, signed("s1", "ds"));
        assert_eq!((code, data), (200, json!({"assetId": "asset-s1", "productKey": "pk", "deviceKey": "s1"})));
        assert_eq!(desk.ask("combine/logout", name("s1")), (200, name("s1")));
        desk.registry.put(Device::active(DeviceId::new("pk", "s4"), "ds")).unwrap();
        let mut code = |key: &str, secret: &str| desk.code(LOGIN, signed(key, secret));
        assert_eq!([code("s1", "wrong"), code("none", "ds"), code("s4", "ds")], [742, 705, 740]);
        assert_eq!(desk.code("combine/logout", name("s4")), 740);
        desk.registry.enable(&DeviceId::new("pk", "s1"), false).unwrap();
        assert_eq!(desk.code(LOGIN, signed("s1", "ds")), 723);
        assert_eq!(desk.code(LOGIN, json!({"productKey": "pk", "deviceKey": "s1"})), 1220);
    }

    #[test]
    fn a_batch_fails_in_part() {
        let mut desk = desk();
        desk.registry.enable(&DeviceId::new("pk", "s2"), false).unwrap();
        let (code, data) = desk.ask(BATCH, batch(&[("s1", "ds"), ("s2", "ds"), ("s3", "wrong"), ("new", "ps")]));
        let name = |entry: &Value| entry["deviceKey"].as_str().unwrap().to_owned();
        let names = |list: &str| data[list].as_array().unwrap().iter().map(name).collect::<Vec<_>>();
        assert_eq!(
            (code, names("loginedSubDevices"), names("failedSubDevices")),
            (723, vec!["s1".to_owned(), "new".to_owned()], vec!["s2".to_owned(), "s3".to_owned()])
        );
        assert!(
            desk.message.contains("pk&s2 has error: the device is disabled; pk&s3 has error: "),
            "{}",
            desk.message
        );
        assert!(data["loginedSubDevices"][1]["deviceSecret"].is_string());
        assert!(data["loginedSubDevices"][0].get("deviceSecret").is_none());
    }

    #[test]
    fn a_batch_is_refused_as_a_whole_where_that_is_set() {
        let mut desk = desk();
        let empty = json!({"loginedSubDevices": [], "failedSubDevices": []});
        desk.config.gateways.batch = Some(1);
        assert_eq!(desk.ask(BATCH, batch(&[("s1", "ds"), ("s2", "ds")])), (460, empty.clone()));
        desk.config.gateways.batch = None;
        desk.config.gateways.all_or_nothing = true;
        assert_eq!(desk.ask(BATCH, batch(&[("s1", "ds"), ("s2", "wrong")])), (742, empty));
        assert_eq!(desk.gateways.all().count(), 0);
        assert_eq!(desk.code(BATCH, batch(&[("s1", "ds"), ("s2", "ds")])), 200);
        assert_eq!(desk.gateways.all().count(), 2);
        assert_eq!(desk.code(BATCH, batch(&[])), 1220);
    }

    #[test]
    fn the_limit_of_those_that_are_online() {
        let mut desk = desk();
        desk.config.gateways.online = 2;
        assert_eq!(desk.code(BATCH, batch(&[("s1", "ds"), ("s2", "ds"), ("s3", "ds")])), 429);
        desk.config.gateways.all_or_nothing = true;
        assert_eq!(desk.code(BATCH, batch(&[("s1", "ds"), ("s2", "ds")])), 200, "they are online");
        assert_eq!(desk.code(BATCH, batch(&[("s3", "ds"), ("s1", "ds")])), 429);
        assert_eq!(desk.code(LOGIN, signed("s1", "ds")), 200, "it is one of them");
        assert_eq!(desk.code("combine/logout", json!({"productKey": "pk", "deviceKey": "s1"})), 200);
        desk.config.gateways.counted = CountedAs::Ever;
        assert_eq!(desk.code(LOGIN, signed("s3", "ds")), 429);
        desk.config.gateways.counted = CountedAs::Now;
        assert_eq!(desk.code(LOGIN, signed("s3", "ds")), 200);
    }

    #[test]
    fn a_sub_device_is_activated_once() {
        let mut desk = desk();
        let login = |secret: &str, mode: &str| {
            let mut login = signed("new", secret);
            login["secureMode"] = mode.into();
            login
        };
        let (code, data) = desk.ask(LOGIN, login("ps", "3"));
        let secret = data["deviceSecret"].as_str().unwrap().to_owned();
        assert_eq!(code, 200);
        assert_eq!(desk.ask(LOGIN, login("ps", "3")).1["deviceSecret"], secret, "until it has used the secret");
        assert_eq!(desk.ask(LOGIN, login(&secret, "2")).1.get("deviceSecret"), None);
        assert_eq!(desk.code(LOGIN, login("ps", "3")), 770);
        let mut without = signed("s1", "ps");
        without["secureMode"] = 3.into();
        assert_eq!(desk.code(LOGIN, without), 770, "its product allows none");

        let mut desk = self::desk();
        desk.config.activation.completed = Completed::Push;
        assert_eq!(desk.code(LOGIN, login("ps", "3")), 200);
        assert_eq!(desk.code(LOGIN, login("ps", "3")), 770);
    }
}
