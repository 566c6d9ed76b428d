//! The layout of the ABI, of which tests/golden/abi-layout.txt has a table: the library's own, and what ENOS_INIT() makes.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::mem::offset_of;

use enos::internals::ffi::event::enos_event;
use enos::internals::ffi::log::enos_log_record;
use enos::internals::ffi::ota::{enos_ota_options, enos_ota_sink};
use enos::internals::ffi::outbox::{enos_outbox_info, enos_outbox_message};
use enos::internals::ffi::request::enos_request;
use enos::internals::ffi::sign::enos_sign_params;
use enos::internals::ffi::stats::enos_stats;
use enos::internals::ffi::subdevice::{enos_subdevice, enos_subdevice_options};
use enos::internals::ffi::value::enos_value;
use enos::internals::storage::vtable::{enos_storage, enos_storage_change};
use generate::layout::{read, structs, Struct, PATH};
use support::native::{c_compilers, header, root, succeed, Workshop};

fn size_of_member<T, M>(_: fn(&T) -> &M) -> usize {
    size_of::<M>()
}

macro_rules! layout_of {
    ($values:ident, $of:ident { $($member:ident)* }) => {
        let of = stringify!($of);
        $values.insert(format!("sizeof({of})"), size_of::<$of>());
        $(
            let member = stringify!($member).trim_start_matches("r#");
            $values.insert(format!("offsetof({of}, {member})"), offset_of!($of, $member));
            $values.insert(format!("sizeof((({of} *)0)->{member})"), size_of_member(|it: &$of| &it.$member));
        )*
    };
}

#[test]
fn the_library_has_the_layout_of_the_table() {
    let mut ours = BTreeMap::new();
    layout_of!(ours, enos_sign_params {
        struct_size client_id product_key device_key secret secret_len secure_mode sign_method timestamp_ms
    });
    layout_of!(ours, enos_value { text len });
    layout_of!(ours, enos_log_record { struct_size level reserved time_ms target message });
    layout_of!(ours, enos_storage_change { key data len });
    layout_of!(ours, enos_storage { struct_size ctx load store erase release batch });
    layout_of!(ours, enos_event {
        struct_size r#type status detail_code qos token retry_in_ms reserved detail topic topic_len payload payload_len
        activation operation retained command subdevice user data message subdevice_state reserved_2
        firmware
    });
    layout_of!(ours, enos_stats {
        struct_size bytes_sent bytes_received messages_sent messages_received messages_dropped attempts connects losses
        last_connack round_trip_ms commands commands_refused
    });
    layout_of!(ours, enos_ota_sink { struct_size ctx begin block read verified failed });
    layout_of!(ours, enos_ota_options { struct_size url headers max_bytes bytes_per_s flags stall_s reserved });
    layout_of!(ours, enos_request {
        struct_size operation flags subdevice name json params params_len timeout_ms reserved user
    });
    layout_of!(ours, enos_subdevice_options {
        struct_size product_key device_key client_id device_secret device_secret_len product_secret product_secret_len
        sign_method flags user
    });
    layout_of!(ours, enos_subdevice { struct_size id product_key device_key state reserved user });
    layout_of!(ours, enos_outbox_info { struct_size messages bytes dead_letters_ever dropped dead_letters });
    layout_of!(ours, enos_outbox_message { struct_size token code operation name payload len });

    let column = if cfg!(target_pointer_width = "64") { 0 } else { 1 + usize::from(cfg!(target_arch = "arm")) };
    let table = read(&fs::read_to_string(root().join(PATH)).unwrap());
    let layout = table.into_iter().filter(|(of, _)| of.contains('('));
    let theirs: BTreeMap<_, _> = layout.map(|(of, values)| (of, values[column] as usize)).collect();
    assert_eq!(ours, theirs);
}

#[test]
fn init_makes_every_struct_with_a_size_ready() {
    let mut source = "#include <enos.h>\n\
        static int zero(const unsigned char *at, const unsigned char *end)\n\
        {\n    while (at < end && *at == 0)\n        at++;\n    return at == end;\n}\n\
        int main(void)\n{\n"
        .to_owned();
    let sized = structs(&header()).into_iter().filter(|it| it.members[0] == "size_t struct_size");
    let count = sized
        .map(|Struct { name, .. }| {
            writeln!(
                source,
                "    {{\n        {name} it;\n        const unsigned char *bytes = (const unsigned char *)&it;\n        \
                 memset(&it, 0xA5, sizeof it);\n        ENOS_INIT(&it);\n        \
                 if (it.struct_size != sizeof it || !zero(bytes + sizeof it.struct_size, bytes + sizeof it))\n            \
                 return 1;\n    }}"
            )
            .unwrap();
        })
        .count();
    assert!(count >= 5, "the header could not be read");
    let (workshop, source) = (Workshop::new(), source + "    return 0;\n}\n");
    let source = workshop.write("init.c", &source);
    for compiler in c_compilers() {
        succeed(&mut workshop.command(workshop.build(compiler, "c99", &source)));
    }
}
