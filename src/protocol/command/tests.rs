use super::*;

fn identity() -> Identity {
    Identity::new("pk", "dk", None).unwrap()
}

fn kind(path: &str) -> Option<Kind> {
    Kind::of(&identity(), path.as_bytes())
}

fn read(path: &str, payload: &[u8]) -> Reading {
    let topic = format!("/sys/pk/dk/{path}");
    Command::read(kind(&topic).unwrap(), topic.into_bytes(), payload.to_vec().into())
}

fn command(path: &str, payload: &str) -> Command {
    match read(path, payload.as_bytes()) {
        Reading::Command(command) => command,
        Reading::Other { .. } => panic!("{payload} is no command"),
        Reading::Unreadable { why, .. } => panic!("{payload}: {why}"),
    }
}

fn answered(command: &Command) -> (String, String) {
    let reply = command.reply_to();
    (reply.topic.clone(), String::from_utf8(reply.refusal(1, "").unwrap()).unwrap())
}

#[test]
fn the_topic_says_what_it_is() {
    use CommandType::*;
    for (path, expected, name, reply) in [
        ("thing/service/reboot", ENOS_COMMAND_SERVICE, "reboot", "thing/service/reboot_reply"),
        ("thing/service/measurepoint", ENOS_COMMAND_SERVICE, "measurepoint", "thing/service/measurepoint_reply"),
        ("thing/service/measurepoint/set", ENOS_COMMAND_MEASUREPOINT_SET, "", "thing/service/measurepoint/set_reply"),
        ("thing/service/measurepoint/get", ENOS_COMMAND_MEASUREPOINT_GET, "", "thing/service/measurepoint/get_reply"),
        ("thing/model/down_raw", ENOS_COMMAND_RAW, "", "thing/model/down_raw_reply"),
        ("rrpc/request/17", ENOS_COMMAND_RRPC, "", "rrpc/response/17"),
        ("thing/enable", ENOS_COMMAND_ENABLE, "", "thing/enable_reply"),
        ("thing/disable", ENOS_COMMAND_DISABLE, "", "thing/disable_reply"),
        ("thing/delete", ENOS_COMMAND_DELETE, "", "thing/delete_reply"),
        ("ota/device/upgrade", ENOS_COMMAND_OTHER, "", "ota/device/upgrade_reply"),
        ("traffic/control", ENOS_COMMAND_OTHER, "", "traffic/control"),
        ("thing/new/thing", ENOS_COMMAND_OTHER, "", "thing/new/thing_reply"),
    ] {
        let read = command(path, r#"{"id":"1","method":"m","params":[]}"#);
        assert_eq!((read.command_type(), read.name()), (expected, name), "{path}");
        assert_eq!(read.reply_to().topic, format!("/sys/pk/dk/{reply}"));
    }
    assert!(kind("/ext/session/pk/dk/combine/disable").is_some_and(Kind::is_known));
    for topic in [
        "/sys/pk/other/thing/service/reboot",
        "/sys/other/dk/thing/service/reboot",
        "/sys/pk/dk",
        "thing/service/reboot",
        "/sys/pk/dk/thing/measurepoint/post",
        "/sys/pk/dk/thing/service/a\0b",
    ] {
        assert_eq!(kind(topic), None, "{topic}");
    }
    assert_eq!(Kind::of(&identity(), b"/sys/pk/dk/thing/service/\xFF"), None);
}

#[test]
fn what_is_not_known_is_a_command_if_it_has_a_method() {
    for payload in ["{}", "[]", "{", "", r#"{"id":"1","params":{}}"#] {
        assert!(matches!(read("a/topic/of/mine", payload.as_bytes()), Reading::Other { .. }), "{payload}");
    }
    assert_eq!(command("a/topic", r#"{"method":"x"}"#).command_type(), CommandType::ENOS_COMMAND_OTHER);
}

#[test]
fn an_id_is_echoed_as_it_came() {
    let long = format!("\"{}\"", "9".repeat(10_000));
    for id in ["0", "\"0\"", "\"\"", "null", "1.0", "-1", "9223372036854775808", "1e2", r#""\u0041\"""#, &long] {
        let read = command("thing/service/x", &format!(r#"{{"params":{{}},"id":{id}}}"#));
        assert_eq!(answered(&read).1, format!(r#"{{"id":{id},"code":1,"data":{{}}}}"#));
    }
    assert_eq!(answered(&command("thing/service/x", "{}")).1, r#"{"code":1,"data":{}}"#, "without one");
}

#[test]
fn params_are_where_they_were() {
    let read = command("thing/service/x", " { \"params\" : [ 1 , \"\u{e9}\" ] } ");
    assert_eq!(read.params(), Some("[ 1 , \"\u{e9}\" ]".as_bytes()));
    assert_eq!(command("thing/service/x", r#"{"params":null}"#).params(), Some(&b"null"[..]));
    assert_eq!(command("thing/service/x", "{}").params(), None);
}

#[test]
fn what_cannot_be_read_is_answered_if_there_is_an_id() {
    let deep = format!(r#"{{"id":7,"params":{}{}}}"#, "[".repeat(10_000), "]".repeat(10_000));
    for (payload, id) in [
        (&b""[..], None),
        (b"[]", None),
        (b"\x00", None),
        (b"{\"id\":[1]}", None),
        (b"{\"id\":true}", None),
        (br#"{"id":"\ud800"}"#, None),
        (br#"{"id":"1","id":"2"}"#, Some("\"1\"")),
        (br#"{"id":"7","params":{"#, Some("\"7\"")),
        (b"{\"id\":\"7\",\"params\":\"\xFF\"}", Some("\"7\"")),
        (br#"{"id":7}}"#, Some("7")),
        (deep.as_bytes(), Some("7")),
        (format!(r#"{{"id":"{}"}}"#, "1".repeat(20_000)).as_bytes(), None),
    ] {
        let shown = String::from_utf8_lossy(&payload[..payload.len().min(50)]).into_owned();
        let Reading::Unreadable { reply, why } = read("thing/service/x", payload) else { panic!("{shown}") };
        assert!(why.starts_with("the command "), "{why}");
        let answer = reply.map(|reply| String::from_utf8(reply.refusal(CODE_UNREADABLE, "").unwrap()).unwrap());
        assert_eq!(answer, id.map(|id| format!(r#"{{"id":{id},"code":460,"data":{{}}}}"#)), "{shown}");
    }
}

#[test]
fn bytes_are_answered_with_bytes_and_json_with_json() {
    let raw = command("thing/model/down_raw", "{\"id\":1").reply_to();
    assert_eq!(raw.raw_answer(b"\x00").unwrap(), b"\x00");
    assert!(raw.answer(200, None, None).unwrap_err().message.contains("reply_raw"));
    assert_eq!(raw.refusal(1101, "x").unwrap(), br#"{"code":1101,"data":{},"message":"x"}"#);
    let rrpc = [r#"{"id":"1"}"#, "\x01\x02"].map(|payload| command("rrpc/request/1", payload).reply_to());
    for (reply, id) in rrpc.iter().zip(["\"id\":\"1\",", ""]) {
        assert_eq!(reply.raw_answer(b"x").unwrap(), b"x");
        assert_eq!(reply.answer(200, None, None).unwrap(), format!("{{{id}\"code\":200,\"data\":{{}}}}").as_bytes());
    }
    let json = command("thing/service/x", "{}").reply_to();
    assert_eq!(json.raw_answer(b"x").unwrap_err().status, Status::ENOS_ERR_INVALID_ARG);
}

#[test]
fn a_digest_stands_for_topic_id_and_params() {
    let digest = |path: &str, payload: &str| command(path, payload).digest();
    let one = digest("thing/service/x", r#"{"id":"1","params":{"a":1}}"#);
    assert_eq!(one, digest("thing/service/x", r#"{"method":"m","params":{"a":1},"id":"1"}"#));
    for (path, payload) in [
        ("thing/service/y", r#"{"id":"1","params":{"a":1}}"#),
        ("thing/service/x", r#"{"id":1,"params":{"a":1}}"#),
        ("thing/service/x", r#"{"id":"1","params":{"a":2}}"#),
        ("thing/service/x", r#"{"params":{"a":1}}"#),
    ] {
        assert_ne!(one, digest(path, payload), "{path} {payload}");
    }
    assert_ne!(digest("thing/model/down_raw", "a"), digest("thing/model/down_raw", "b"));
}

#[test]
fn random_bytes_are_read_or_refused() {
    let mut random = fastrand::Rng::with_seed(13);
    let whole = br#"{"id":"12","version":"1.0","method":"thing.service.x","params":{"a":[1,"\u00e9"]}}"#;
    for _ in 0..20_000 {
        let mut payload = whole[..random.usize(..=whole.len())].to_vec();
        for _ in 0..random.usize(..4).min(payload.len()) {
            let at = random.usize(..payload.len());
            payload[at] = random.u8(..);
        }
        match read("thing/service/x", &payload) {
            Reading::Command(command) => {
                let answer: serde_json::Value =
                    serde_json::from_slice(&command.reply_to().refusal(1, "").unwrap()).unwrap();
                let came: serde_json::Value = serde_json::from_slice(&payload).unwrap();
                assert_eq!(answer.get("id"), came.get("id"));
            }
            Reading::Unreadable { reply: Some(reply), .. } => drop(reply.refusal(460, "").unwrap()),
            _ => {}
        }
    }
}
