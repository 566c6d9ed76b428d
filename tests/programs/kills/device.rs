//! The program tests/c/crash_device.c, its storage, and its cloud.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::time::Duration;

use enos::internals::protocol::Identity;
use enos::internals::storage::directory::directory;
use enos::internals::storage::record::Role;
use enos::internals::storage::records::Records;
use enos::internals::storage::secrets::StoredSecrets;
use enos::internals::storage::vtable::HostStorage;
use enos_sim::ca::KeyKind;
use enos_sim::{Activation, Device, DeviceId, Event, HmacSha1, SecondLogin, ThrottleConfig};
use enos_sim::{TlsConfig, TlsVersion};
use support::desk::Desk;
use support::host::{PRODUCT_KEY, PRODUCT_SECRET};
use support::native::{test_source, Workshop};
use support::proxy::{Point, Proxy, Wire};
use support::tls::Pki;

/// EnOS's limits with short times, and the library's budget with a margin, because a CONNECT takes time to arrive.
pub const CONNECTS: u32 = 3;
pub const WINDOW_MS: u32 = 1_800;
pub const SPACING_MS: u32 = 300;

pub fn throttle() -> ThrottleConfig {
    ThrottleConfig {
        window: Duration::from_millis(1_500),
        ban: Duration::from_secs(3_600),
        spacing: Duration::from_millis(100),
        ..ThrottleConfig::default()
    }
}

/// The transport between a device and its cloud.
#[derive(Clone, Copy, Debug)]
pub enum Transport {
    Tcp,
    /// With this version of TLS and certificates on both sides.
    #[cfg_attr(not(feature = "tls"), expect(dead_code, reason = "the device cannot speak it"))]
    Tls(TlsVersion),
}

impl Transport {
    fn scheme_and_wire(self) -> (&'static str, Wire) {
        match self {
            Transport::Tcp => ("tcp", Wire::Mqtt),
            Transport::Tls(_) => ("ssl", Wire::Tls),
        }
    }

    /// The packets that end a connection: DISCONNECT, and over TLS a `close_notify` from each side.
    pub fn goodbyes(self) -> usize {
        match self {
            Transport::Tcp => 1,
            Transport::Tls(_) => 3,
        }
    }
}

pub fn id(device_key: &str) -> DeviceId {
    DeviceId::new(PRODUCT_KEY, device_key)
}

/// A cloud that gives each product-secret login a new secret.
pub struct Sky {
    pub desk: Desk,
    transport: Transport,
    pki: Option<Pki>,
}

impl Sky {
    pub fn new(transport: Transport, hmacsha1: HmacSha1, device_keys: impl Iterator<Item = String>) -> Sky {
        let mut pki = None;
        let desk = Desk::inactive(|config| {
            config.devices = device_keys.map(|key| Device::inactive(id(&key), PRODUCT_SECRET)).collect();
            config.hmacsha1 = hmacsha1;
            config.activation = Activation { second_login: SecondLogin::NewSecret, ..Activation::default() };
            config.throttle = Some(throttle());
            if let Transport::Tls(version) = transport {
                let pki = pki.insert(Pki::new());
                pki.device("device", KeyKind::EcP256);
                config.plain = false;
                config.tls = Some(TlsConfig { min: version, max: version, ..pki.demanding() });
            }
        });
        Sky { desk, transport, pki }
    }

    /// With these devices, for a gateway with sub-devices.
    pub fn with(devices: Vec<Device>) -> Sky {
        let desk = Desk::inactive(|config| {
            config.devices = devices;
            config.activation = Activation { second_login: SecondLogin::NewSecret, ..Activation::default() };
        });
        Sky { desk, transport: Transport::Tcp, pki: None }
    }

    /// How many secrets the cloud has sent.
    pub fn pushed(&self, device_key: &str) -> usize {
        self.desk.count_of(&id(device_key), |event| matches!(event, Event::ActivationPushed { .. }))
    }

    /// The device's secret in the cloud.
    pub fn secret(&self, device_key: &str) -> Option<String> {
        Some(self.desk.cloud.device(&id(device_key))?.device_secret?.expose().to_owned())
    }

    /// CONNECTs that the throttle refused, and all of them.
    pub fn connects(&self, device_key: &str) -> (u64, u64) {
        let summary = self.desk.cloud.summary();
        let name = id(device_key).to_string();
        let device = summary.devices.iter().find(|device| device.device == name).unwrap();
        (device.counts.banned, device.counts.connects)
    }
}

/// The built program.
pub struct Firmware {
    workshop: Workshop,
    program: PathBuf,
}

/// One device: its program, its storage and its way to the cloud.
pub struct Rig<'a> {
    firmware: &'a Firmware,
    sky: &'a Sky,
    pub key: String,
    directory: PathBuf,
    proxy: Proxy,
    /// Instead of [`CONNECTS`].
    pub connects: u32,
    /// It is a gateway with so many sub-devices.
    pub subdevices: usize,
    pub product_secret_of_subdevices: Option<&'static str>,
    /// It registers them.
    pub registers: bool,
}

impl Firmware {
    pub fn build() -> Firmware {
        let workshop = Workshop::new();
        let program = workshop.build("cc", "c99", &test_source("crash_device.c"));
        Firmware { workshop, program }
    }

    pub fn rig<'a>(&'a self, sky: &'a Sky, key: String) -> Rig<'a> {
        let directory = self.workshop.path().join(format!("store-{key}"));
        let wire = sky.transport.scheme_and_wire().1;
        let proxy = Proxy::bind("127.0.0.1:0".parse().unwrap(), sky.desk.address(), wire);
        Rig {
            firmware: self,
            sky,
            key,
            directory,
            proxy,
            connects: CONNECTS,
            subdevices: 0,
            product_secret_of_subdevices: None,
            registers: false,
        }
    }
}

/// How a run of the program ended.
pub struct Run {
    pub status: ExitStatus,
    pub output: String,
    pub packets: usize,
}

impl Run {
    pub fn killed(&self) -> bool {
        use std::os::unix::process::ExitStatusExt;
        self.status.signal() == Some(libc::SIGKILL)
    }

    /// How many points the program passed.
    pub fn points(&self) -> usize {
        let last = self.output.lines().last().unwrap_or_default();
        last.strip_prefix("points ").and_then(|points| points.parse().ok()).unwrap_or_else(|| panic!("{}", self.output))
    }
}

impl Rig<'_> {
    /// Runs the program until it ends, kills itself at its `crash_at`-th point (0: never), or is killed at a packet.
    pub fn run(&self, crash_at: usize, packet: Point) -> Run {
        let workshop = &self.firmware.workshop;
        let mut command: Command = workshop.command(&self.firmware.program);
        if let Some(pki) = &self.sky.pki {
            let [cert, key] = ["device.pem", "device.key"].map(|name| pki.file(name));
            command.env("TLS_CA", pki.ca()).env("TLS_CERT", cert).env("TLS_KEY", key);
        }
        let scheme = self.sky.transport.scheme_and_wire().0;
        command.arg(format!("{scheme}://{}", self.proxy.address())).arg(&self.directory);
        command.args([PRODUCT_KEY, &self.key, PRODUCT_SECRET]);
        command.args([self.connects, WINDOW_MS, SPACING_MS].map(|number| number.to_string()));
        command.env("SUBDEVICES", self.subdevices.to_string());
        command.envs(self.product_secret_of_subdevices.map(|secret| ("SUB_SECRET", secret)));
        command.envs(self.registers.then_some(("REGISTER", "1")));
        command.env("CRASH_AT", crash_at.to_string()).stdout(Stdio::piped()).stderr(Stdio::piped());
        self.proxy.arm(packet);
        let child = command.spawn().unwrap();
        self.proxy.device(child.id());
        let output = child.wait_with_output().unwrap();
        let packets = self.proxy.packets();
        let text = [output.stdout, output.stderr].concat();
        Run { status: output.status, output: String::from_utf8_lossy(&text).into_owned(), packets }
    }

    /// The device secrets in its storage.
    pub fn stored(&self) -> Vec<String> {
        self.stored_of(&id(&self.key))
    }

    /// Those of this device.
    pub fn stored_of(&self, device: &DeviceId) -> Vec<String> {
        if !Path::new(&self.directory).exists() {
            return Vec::new();
        }
        let digest = Identity::new(&device.product_key, &device.device_key, None).unwrap().digest_hex();
        let records = self.records().of(&device.product_key, &device.device_key, &digest);
        let newest = [0, 1].into_iter().filter_map(|n| records.load(Role::Secrets(n)).unwrap());
        let newest = newest.map(|data| StoredSecrets::decode(&data).unwrap()).max_by_key(|stored| stored.number);
        let secrets = newest.map(|stored| stored.secrets).unwrap_or_default();
        secrets.into_iter().map(|stored| stored.secret.as_str().to_owned()).collect()
    }

    /// Its records. The program must not run meanwhile, because it locks the directory.
    pub fn records(&self) -> Records {
        // SAFETY: the directory's callbacks keep to the contract.
        let storage = unsafe { HostStorage::new(&directory(&self.directory).unwrap()) }.unwrap();
        let identity = Identity::new(PRODUCT_KEY, &self.key, None).unwrap();
        Records::new(storage, PRODUCT_KEY, &self.key, &identity.digest_hex())
    }
}
