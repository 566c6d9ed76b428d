//! The command line.

mod ports;

use enos_sim::{
    read_file, Activation, Block, Command, Completed, Config, CountedAs, Device, DeviceId, Event, Excess, Firmware,
    HmacSha1, Methods, Offer, Product, SecondLogin, Spelling, ThrottleConfig,
};
use lexopt::{Arg, Parser, ValueExt};
use std::{path::Path, time::Duration};

use crate::make_ca;
use ports::{address, Http, Tls};

/// What the program has to do.
#[derive(Debug, Default)]
pub struct Options {
    pub config: Config,
    pub json: bool,
    pub summary: bool,
    pub interactive: bool,
    /// Ends after this many events of this name.
    pub exit_when: Vec<(String, u64)>,
    /// Ends after this many accepted posts.
    pub exit_after_posts: Option<u64>,
    /// Ends after this time; with one of the conditions above, as a failure.
    pub timeout: Option<Duration>,
}

pub enum Request {
    Help,
    Version,
    Run(Box<Options>),
    /// The subcommand `ca`.
    MakeCa(make_ca::Options),
}

/// The text of an error says what is wrong with which argument, and contains no secret.
pub fn parse(mut parser: Parser) -> Result<Request, String> {
    let mut options = Options::default();
    let mut after_posts = 0;
    let mut tls = Tls::default();
    let mut http = Http::default();
    let mut listen = None;
    let mut is_first = true;
    while let Some(arg) = parser.next().map_err(|error| error.to_string())? {
        let Arg::Long(name) = arg else {
            return match arg {
                Arg::Value(verb) if is_first && verb == "ca" => make_ca::parse(parser).map(Request::MakeCa),
                Arg::Short('h') => Ok(Request::Help),
                Arg::Short('V') => Ok(Request::Version),
                arg => Err(arg.unexpected().to_string()),
            };
        };
        is_first = false;
        let name = name.to_owned();
        match name.as_str() {
            "help" => return Ok(Request::Help),
            "version" => return Ok(Request::Version),
            "json" => options.json = true,
            "summary" => options.summary = true,
            "interactive" => options.interactive = true,
            "throttle" => drop(throttle(&mut options.config)),
            "require-client-cert" => tls.require_client_certificate = true,
            _ => {
                if !VALUED.contains(&name.as_str()) {
                    return Err(format!("unknown option --{name}; see --help"));
                }
                let value = parser.value().and_then(|value| value.string()).map_err(|error| error.to_string())?;
                let understood = match name.as_str() {
                    "listen" => address(&value).map(|address| listen = Some(address)),
                    name if name.starts_with("tls-") => tls.set(name, &value),
                    name if name.starts_with("http") => http.set(name, value),
                    name => valued(&mut options, &mut after_posts, name, &value),
                };
                understood.map_err(|error| format!("--{name}: {error}"))?;
            }
        }
    }
    if options.config.devices.is_empty() && options.config.products.is_empty() {
        let (device, product) = built_in();
        options.config.devices.push(device);
        options.config.products.push(product);
    }
    options.config.tls = tls.config()?;
    options.config.http = http.config(&options.config)?;
    options.config.plain = listen.is_some() || options.config.tls.is_none();
    options.config.listen = listen.unwrap_or(options.config.listen);
    Ok(Request::Run(Box::new(options)))
}

const VALUED: [&str; 52] = [
    "listen",
    "tls-listen",
    "tls-cert",
    "tls-key",
    "tls-client-ca",
    "tls-min",
    "tls-max",
    "device",
    "gateway",
    "sub-device",
    "product",
    "devices",
    "state",
    "hmacsha1",
    "md5",
    "methods",
    "model",
    "refusal-code",
    "activation-topic",
    "activated-at",
    "second-login",
    "push-qos",
    "refuse-subscription",
    "refuse-every",
    "filters-in-packet",
    "filters-on-link",
    "filter-excess",
    "sub-devices-online",
    "sub-devices-counted",
    "batch-limit",
    "batch-failure",
    "qos1-logins",
    "topology-limit",
    "product-limit",
    "command",
    "command-after-posts",
    "command-timeout",
    "commands-every",
    "throttle-window",
    "throttle-ban",
    "throttle-spacing",
    "throttle-block",
    "firmware",
    "http",
    "https",
    "http-host",
    "offer",
    "fault",
    "seed",
    "exit-after-posts",
    "exit-when",
    "timeout",
];

/// The default devices, which --help names.
fn built_in() -> (Device, Product) {
    let product = Product { product_key: "demo".into(), product_secret: "demo-product-secret".into() };
    let device = Device {
        product_secret: Some(product.product_secret.clone()),
        ..Device::active(DeviceId::new("demo", "static"), "demo-device-secret")
    };
    (device, product)
}

fn throttle(config: &mut Config) -> &mut ThrottleConfig {
    config.throttle.get_or_insert_with(ThrottleConfig::default)
}

fn valued(options: &mut Options, after_posts: &mut u64, name: &str, value: &str) -> Result<(), String> {
    let config = &mut options.config;
    match name {
        "device" => config.devices.push(device(value)?),
        "gateway" => config.devices.push(device(value)?.gateway()),
        "sub-device" => {
            let gateway = config.devices.iter().rev().find(|device| device.is_gateway);
            let gateway = gateway.ok_or("it follows the gateway to which it belongs")?.id.clone();
            config.devices.push(device(value)?.behind(gateway));
        }
        "product" => {
            let (key, secret) = value.split_once(',').ok_or("expected PRODUCT_KEY,PRODUCT_SECRET")?;
            config.products.push(Product { product_key: key.into(), product_secret: secret.into() });
        }
        "devices" => {
            let contents = read_file(Path::new(value))?;
            config.devices.extend(contents.devices);
            config.products.extend(contents.products);
            config.faults.extend(contents.faults);
        }
        "state" => config.state = Some(value.into()),
        "hmacsha1" => {
            let known = [("hmac", HmacSha1::Hmac), ("plain", HmacSha1::Plain), ("either", HmacSha1::Either)];
            config.hmacsha1 = one_of(value, &known)?;
        }
        "md5" => config.md5 = one_of(value, &[("accept", true), ("refuse", false)])?,
        "refusal-code" => config.refusal_code = Some(number(value, 1, 5)? as u8),
        "activation-topic" => {
            let known = [("activate", Spelling::Activate), ("activated", Spelling::Activated)];
            activation(config).spelling = one_of(value, &known)?;
        }
        "activated-at" => {
            let known = [("device-login", Completed::DeviceLogin), ("push", Completed::Push)];
            activation(config).completed = one_of(value, &known)?;
        }
        "second-login" => {
            let known = [("same", SecondLogin::SameSecret), ("new", SecondLogin::NewSecret)];
            activation(config).second_login = one_of(value, &known)?;
        }
        "model" => config.model = Some(model(value)?),
        "methods" => config.methods = one_of(value, &[("strict", Methods::Strict), ("lax", Methods::Lax)])?,
        "push-qos" => config.push_qos = number(value, 0, 1)? as u8,
        "refuse-every" => config.filters.refuse_every = Some(number(value, 1, u64::MAX)?),
        "filters-in-packet" => config.filters.in_packet = Some(count(value)?),
        "filters-on-link" => config.filters.on_link = Some(count(value)?),
        "filter-excess" => {
            config.filters.excess = one_of(value, &[("refuse", Excess::Refuse), ("close", Excess::Close)])?;
        }
        "sub-devices-online" => config.gateways.online = count(value)?,
        "sub-devices-counted" => {
            config.gateways.counted = one_of(value, &[("now", CountedAs::Now), ("ever", CountedAs::Ever)])?;
        }
        "batch-limit" => config.gateways.batch = Some(count(value)?),
        "batch-failure" => config.gateways.all_or_nothing = one_of(value, &[("in-part", false), ("whole", true)])?,
        "qos1-logins" => {
            config.gateways.ignore_qos1_logins = one_of(value, &[("answer", false), ("ignore", true)])?;
        }
        "topology-limit" => config.gateways.topology = count(value)?,
        "product-limit" => config.gateways.devices_of_product = count(value)?,
        "refuse-subscription" => config.refused_filters.push(value.into()),
        "command" => {
            let (suffix, params) = value.split_once(',').ok_or("expected TOPIC_SUFFIX,JSON")?;
            let params = serde_json::from_str(params).map_err(|error| format!("the params are not JSON: {error}"))?;
            config.commands.push(Command { suffix: suffix.into(), params, after_posts: *after_posts });
        }
        "command-after-posts" => *after_posts = number(value, 0, u64::MAX)?,
        "commands-every" => config.commands_every = Some(ms(value)?.max(Duration::from_millis(1))),
        "command-timeout" => config.command_timeout = ms(value)?,
        "throttle-window" => throttle(config).window = ms(value)?,
        "throttle-ban" => throttle(config).ban = ms(value)?,
        "throttle-spacing" => throttle(config).spacing = ms(value)?,
        "throttle-block" => {
            throttle(config).block = one_of(value, &[("refuse", Block::Refuse), ("drop", Block::Drop)])?;
        }
        "firmware" => config.firmware.push(firmware(value)?),
        "offer" => {
            let parts: Vec<_> = value.splitn(3, ',').collect();
            let [product_key, device_key, version] = parts[..] else { return Err("expected PK,DK,VERSION".into()) };
            config.offers.push((DeviceId::new(product_key, device_key), Offer::new(version)));
        }
        "fault" => config.faults.push(value.parse().map_err(|error| format!("{error}"))?),
        "seed" => config.seed = Some(number(value, 0, u64::MAX)?),
        "exit-after-posts" => options.exit_after_posts = Some(number(value, 1, u64::MAX)?),
        "exit-when" => options.exit_when.push(exit_when(value)?),
        "timeout" => options.timeout = Some(ms(value)?),
        _ => return Err("unknown option".into()),
    }
    Ok(())
}

fn activation(config: &mut Config) -> &mut Activation {
    &mut config.activation
}

/// `PRODUCT_KEY,DEVICE_KEY,PRODUCT_SECRET[,DEVICE_SECRET]`; a device with a device secret is active.
fn device(value: &str) -> Result<Device, String> {
    let parts: Vec<_> = value.split(',').collect();
    let some = |secret: &str| (!secret.is_empty()).then(|| secret.into());
    let (product_key, device_key, product_secret, device_secret) = match parts[..] {
        [product_key, device_key, product_secret] => (product_key, device_key, product_secret, ""),
        [product_key, device_key, product_secret, device_secret] => {
            (product_key, device_key, product_secret, device_secret)
        }
        _ => return Err("expected PRODUCT_KEY,DEVICE_KEY,PRODUCT_SECRET[,DEVICE_SECRET]".into()),
    };
    if product_key.is_empty() || device_key.is_empty() {
        return Err("a product key and a device key are needed".into());
    }
    Ok(Device {
        product_secret: some(product_secret),
        active: !device_secret.is_empty(),
        device_secret: some(device_secret),
        ..Device::inactive(DeviceId::new(product_key, device_key), "")
    })
}

/// `VERSION=FILE`
pub fn firmware(value: &str) -> Result<Firmware, String> {
    let (version, file) = value.split_once('=').ok_or("expected VERSION=FILE")?;
    if version.is_empty() {
        return Err("expected VERSION=FILE".into());
    }
    Firmware::from_file(version, Path::new(file)).map_err(|error| error.to_string())
}

fn model(path: &str) -> Result<serde_json::Value, String> {
    let text = std::fs::read(path).map_err(|error| format!("{path}: {error}"))?;
    let model: serde_json::Value = serde_json::from_slice(&text).map_err(|error| format!("{path}: {error}"))?;
    model.is_object().then_some(model).ok_or_else(|| format!("{path}: the model is not a JSON object"))
}

/// `EVENT[=N]`
fn exit_when(value: &str) -> Result<(String, u64), String> {
    let (event, times) = value.split_once('=').unwrap_or((value, "1"));
    if !Event::NAMES.contains(&event) {
        return Err(format!("there is no event \"{event}\": {}", Event::NAMES.join(", ")));
    }
    number(times, 1, u64::MAX).map(|times| (event.to_owned(), times))
}

pub fn one_of<T: Copy>(value: &str, known: &[(&str, T)]) -> Result<T, String> {
    let names: Vec<_> = known.iter().map(|(name, _)| *name).collect();
    let found = known.iter().find(|(name, _)| *name == value).map(|(_, meaning)| *meaning);
    found.ok_or_else(|| format!("\"{value}\" is not one of {}", names.join(", ")))
}

fn number(value: &str, least: u64, most: u64) -> Result<u64, String> {
    let number = value.parse().ok().filter(|number| (least..=most).contains(number));
    number.ok_or_else(|| format!("\"{value}\" is not a number from {least} to {most}"))
}

fn count(value: &str) -> Result<usize, String> {
    number(value, 1, u32::MAX.into()).map(|count| count as usize)
}

fn ms(value: &str) -> Result<Duration, String> {
    // A year. With more, sums of times could overflow.
    number(value, 0, 365 * 24 * 3600 * 1000).map(Duration::from_millis)
}
