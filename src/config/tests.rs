use super::*;

fn words<T>(result: Result<T>) -> String {
    match result {
        Ok(_) => panic!("it was accepted"),
        Err(error) => {
            assert_eq!(error.status, Status::ENOS_ERR_INVALID_ARG);
            error.message
        }
    }
}

/// Checks that both ends of a range are accepted, that the values next to them are refused, and that a refusal changes
/// nothing.
fn range<T: Copy + PartialEq + std::fmt::Debug>(
    ends: [T; 2],
    beyond: [T; 2],
    set: fn(&mut Config, T) -> Result<()>,
    get: fn(&Config) -> T,
) {
    let mut config = Config::default();
    for value in ends {
        set(&mut config, value).unwrap();
        assert_eq!(get(&config), value);
    }
    for value in beyond {
        words(set(&mut config, value));
        assert_eq!(get(&config), ends[1]);
    }
}

#[test]
fn ranges() {
    range([10, 1200], [9, 1201], Config::set_keep_alive, |c| c.keep_alive_s);
    range([100, 600_000], [99, 600_001], Config::set_connect_timeout, |c| c.connect_timeout_ms);
    range([100, 600_000], [99, 600_001], Config::set_activation_timeout, |c| c.activation_timeout_ms);
    range([100, 600_000], [99, 600_001], Config::set_reply_timeout, |c| c.reply_timeout_ms);
    range([1, 10_000], [0, 10_001], Config::set_inflight, |c| c.inflight);
    range([1024, 268_435_455], [1023, 268_435_456], Config::set_max_message, |c| c.max_message);
    range([1, 1_000_000], [0, 1_000_001], |c, n| c.set_queue_limits(n, 4096), |c| c.inbound_messages);
    range([1024, 1 << 30], [1023, (1 << 30) + 1], |c, n| c.set_queue_limits(1, n), |c| c.inbound_bytes);
    range([100, 3_600_000], [99, 3_600_001], |c, n| c.set_reconnect(n, 3_600_000), |c| c.reconnect_min_ms);
    range([100, 3_600_000], [99, 3_600_001], |c, n| c.set_reconnect(100, n), |c| c.reconnect_max_ms);
    range([1, 16], [17, u32::MAX], |c, n| c.set_connect_budget(n, 1000, 0), |c| c.budget.connects);
    range([1000, 3_600_000], [999, 3_600_001], |c, n| c.set_connect_budget(1, n, 0), |c| c.budget.window_ms);
    range([0, 60_000], [60_001, u32::MAX], |c, n| c.set_connect_budget(1, 1000, n), |c| c.budget.spacing_ms);
}

#[test]
fn a_zero_that_means_something() {
    let mut config = Config::default();
    config.set_reconnect(0, 0).unwrap();
    assert_eq!((config.reconnect_min_ms, config.reconnect_max_ms), (0, 0));
    words(config.set_reconnect(0, 1000));
    words(config.set_reconnect(1000, 0));
    words(config.set_reconnect(2000, 1999));
    config.set_connect_budget(0, 0, 0).unwrap();
    assert_eq!(config.budget, Budget { connects: 0, window_ms: 0, spacing_ms: 0 });
}

#[test]
fn the_defaults_are_within_their_own_ranges() {
    let defaults = Config::default();
    let mut config = Config::default();
    config.set_keep_alive(defaults.keep_alive_s).unwrap();
    config.set_connect_timeout(defaults.connect_timeout_ms).unwrap();
    config.set_activation_timeout(defaults.activation_timeout_ms).unwrap();
    config.set_reply_timeout(defaults.reply_timeout_ms).unwrap();
    config.set_reconnect(defaults.reconnect_min_ms, defaults.reconnect_max_ms).unwrap();
    let budget = defaults.budget;
    config.set_connect_budget(budget.connects, budget.window_ms, budget.spacing_ms).unwrap();
    config.set_inflight(defaults.inflight).unwrap();
    config.set_queue_limits(defaults.inbound_messages, defaults.inbound_bytes).unwrap();
    config.set_max_message(defaults.max_message).unwrap();
}

#[test]
fn words_name_the_setting_the_value_and_the_range() {
    let mut config = Config::default();
    assert_eq!(words(config.set_keep_alive(5)), "keep_alive is 5; it can be 10 to 1200 seconds");
    assert!(words(config.set_device_secret(b"")).starts_with("device secret: "));
    assert!(words(config.set_product_secret(b"a\0b")).starts_with("product secret: "));
    assert!(!words(config.set_product_secret(b"hunter2\0")).contains("hunter2"));
}

#[test]
fn the_client_id_may_come_before_the_identity_or_after() {
    let mut config = Config::default();
    config.set_client_id("serial-7").unwrap();
    config.set_identity("pk", "dk").unwrap();
    assert_eq!(config.identity.as_ref().unwrap().client_id(), "serial-7");
    config.set_client_id("serial-8").unwrap();
    assert_eq!(config.identity.as_ref().unwrap().client_id(), "serial-8");
    assert!(words(config.set_client_id("a|b")).starts_with("client_id "));
    assert_eq!(config.identity.as_ref().unwrap().client_id(), "serial-8");
    assert_eq!(config.identity.as_ref().unwrap().product_key(), "pk");
}

#[test]
fn interface_names() {
    let mut config = Config::default();
    config.set_bind_interface("abcdefghij.4095").unwrap();
    for bad in ["", "abcdefghij.40951", "a b", "a/b", "a\n", "eth0:1", ".", ".."] {
        words(config.set_bind_interface(bad));
    }
    assert_eq!(config.bind_interface.as_deref(), Some("abcdefghij.4095"));
}
