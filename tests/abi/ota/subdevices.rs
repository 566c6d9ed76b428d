//! Updates of sub-devices.

use enos_sim::{Device, DeviceId};

use super::*;

fn sub_id() -> DeviceId {
    DeviceId::new(SUB_PRODUCT, "s000")
}

fn report(host: &mut Host, subdevice: u64, version: &str) {
    let params = json!({"version": version}).to_string();
    let ask = Ask { subdevice, ..Ask::json(Operation::ENOS_OP_OTA_VERSION_REPORT, &params) };
    let token = host.request(&ask).unwrap();
    while host.until("REPLY").token != token {}
}

#[test]
fn a_sub_device_restarts_while_its_gateway_runs_on() {
    let sub = Device::active(sub_id(), SUB_SECRET).behind(device_id());
    let desk = Desk::active(|config| {
        config.devices = vec![Device::active(device_id(), DEVICE_SECRET).gateway(), sub];
    });
    let store = Store::new();
    let mut host = start(&desk, &store, "gateway 1");
    let ids = host.add_subdevices(&[Sub { user: 7, ..Sub::new("s000") }]).unwrap();
    host.connect();
    host.until_all(&ids, SubState::Online);
    for (old, new, runs, status) in [("1", "2", "2", ENOS_OK), ("2", "3", "2", ENOS_ERR_NOT_INSTALLED)] {
        report(&mut host, ids[0], old);
        let task = desk.cloud.offer(&sub_id(), Offer::raw(params(new))).unwrap();
        let (firmware, told) = offered(&mut host);
        assert_eq!((told.subdevice, told.user, firmware.subdevice()), (ids[0], 7, ids[0]));
        let of_task = |desk: &Desk| desk.cloud.task(&sub_id(), task).unwrap();
        host.loop_until(|_| of_task(&desk) == TaskState::Received);
        let token = host.ota_report(&firmware, 30, Some("on its way")).unwrap();
        while host.until("REPLY").token != token {}
        assert_eq!(host.ota_installed(&firmware), ENOS_OK);
        report(&mut host, ids[0], runs);
        host.loop_until(|_| of_task(&desk).is_over());
        let told = host.seen.iter().rev().find(|told| told.name == "OTA").unwrap();
        assert_eq!((told.status, told.subdevice, told.user), (status, ids[0], 7));
        match status {
            ENOS_OK => assert_eq!(of_task(&desk), TaskState::Succeeded),
            _ => assert!(failed_with(-4)(&of_task(&desk))),
        }
    }
    assert_eq!(store.keys("ota").len(), 1, "the image that has failed is remembered, for the sub-device alone");
    assert!(desk.cloud.tasks(&device_id()).is_empty());
}
