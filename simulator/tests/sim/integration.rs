//! The integration channel.

use crate::common::*;
use enos_sim::{Device, DeviceId};
use mqttbytes::QoS;
use serde_json::{json, Value};

#[test]
fn the_channel_of_a_product_posts_for_its_devices() {
    let (sim, mut client) = Sim::online(active());
    assert_eq!(client.ask("/sys/pk/integration/measurepoint/post", json!([]))["code"], 1009);
    let login =
        Login { id: DeviceId::new("pk", "%channel%"), client_id: "pk".into(), secure_mode: 4, ..Login::product() };
    assert_eq!(sim.answer(&login), 5, "no product has this secret");
    sim.cloud.put_device(Device::inactive(DeviceId::new("pk", "d1"), PRODUCT_SECRET)).unwrap();
    assert_eq!(sim.answer(&Login { secret: "wrong".into(), ..login.clone() }), 4);
    assert_eq!(sim.answer(&Login { id: dk(), ..login.clone() }), 4, "the user name is not that of the channel");
    let mut channel = sim.log_in(&login);
    let mut post = |what: &str, params: Value| {
        let topic = format!("/sys/pk/integration/{what}");
        channel.subscribe(&format!("{topic}_reply"), QoS::AtMostOnce);
        let method = format!("integration.{}", what.replace('/', "."));
        let body = json!({"id": "1", "version": "1.0", "method": method, "params": params});
        channel.publish(&topic, QoS::AtLeastOnce, body.to_string());
        assert!(matches!(channel.next(), mqttbytes::v4::Packet::PubAck(_)));
        channel.next_json().1["code"].clone()
    };
    let points = |key: &str| json!([{"deviceKey": key, "measurepoints": {"t": 1}, "time": 1}]);
    assert_eq!([post("measurepoint/post", points("d1")), post("measurepoint/post", points("none"))], [200, 1257]);
    assert_eq!(post("event/post", json!([{"deviceKey": "d1", "events": {"alarm": {"level": 3}}}])), 200);
    assert_eq!(post("attribute/post", json!([{"deviceKey": "d1", "attributes": {"a": 1}}])), 200);
    channel.subscribe("/sys/pk/integration/model/up_raw_reply", QoS::AtMostOnce);
    channel.publish("/sys/pk/integration/model/up_raw", QoS::AtMostOnce, [1, 2]);
    assert_eq!(channel.next_publish().payload.as_ref(), [1, 2]);
    assert_eq!(channel.ask(POST, json!({"measurepoints": {"t": 1}}))["code"], 1009);
}
