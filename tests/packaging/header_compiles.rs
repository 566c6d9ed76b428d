//! include/enos.h, and enos.hpp, as compilers see them. In C it is included alone, twice, and in several files of one
//! program by c_examples, in every standard.

use std::process::Command;

use support::native::{
    c_compilers, code, cpp_compilers, functions, header, root, succeed, words, Workshop, CPP_STANDARDS, C_STANDARDS,
};

#[test]
fn the_cover_for_cplusplus_twice_and_in_two_files_of_one_program() {
    let workshop = Workshop::new();
    let include = "#include <enos.hpp>\n#include <enos.hpp>\n";
    let other = format!("{include}void other() {{ enos::config().server(\"tcp://x\"); }}\n");
    let main = format!("{include}void other();\nint main() {{ enos::config().identity(\"pk\", \"dk\"); other(); }}\n");
    let sources = [workshop.write("main.cpp", &main), workshop.write("other.cpp", &other)];
    for compiler in cpp_compilers() {
        for standard in CPP_STANDARDS {
            succeed(&mut workshop.command(workshop.build_all(compiler, standard, &sources)));
        }
    }
}

#[test]
fn the_cover_for_cplusplus_without_exceptions_and_without_an_end_that_never_comes() {
    let workshop = Workshop::new();
    // In place of the library's own: a secret that no storage takes.
    let source = "#define ENOS_HPP_END_MS 300\n#include <enos.hpp>\n\
        extern \"C\" enos_status enos_client_destroy(enos_client *) { return ENOS_ERR_UNSAVED_SECRET; }\n\
        int main()\n{\n    enos::config config;\n    config.server(\"tcp://x\").identity(\"pk\", \"dk\").device_secret(\"s\");\n    \
        enos::client client(config);\n    return client.end(200) == ENOS_ERR_UNSAVED_SECRET && client.get() ? 0 : 1;\n}\n";
    let source = workshop.write("main.cpp", source);
    for compiler in cpp_compilers() {
        for standard in CPP_STANDARDS {
            let program = workshop.build_with(compiler, standard, &["-fno-exceptions", "-fno-rtti"], &[&source]);
            succeed(&mut workshop.command(program));
        }
    }
}

#[test]
fn the_cover_for_cplusplus_has_a_member_for_each_setter() {
    let cover = std::fs::read_to_string(root().join("include/enos.hpp")).unwrap();
    let setters = functions(&header()).into_iter().filter_map(|(name, _)| {
        Some(name.strip_prefix("enos_config_set_")?.to_owned()).filter(|name| name != "event_cb")
    });
    let missing: Vec<_> = setters.filter(|name| !cover.contains(&format!("config &{name}("))).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

/// The names of the functions that carry this mark.
fn marked<'a>(declarations: &'a str, mark: &str) -> Vec<&'a str> {
    let heads = declarations.split(mark).skip(1).map(|rest| rest.split_once('(').unwrap().0);
    heads.map(|head| words(head).last().unwrap()).collect()
}

/// A program that ignores the results of these calls, one a line, gets a warning for each.
#[track_caller]
fn warned_of(
    workshop: &Workshop,
    compilers: Vec<&str>,
    standards: &[&str],
    source: &str,
    opening: &str,
    calls: &[&str],
) {
    let lines: String = calls.iter().map(|call| format!("{call};\n")).collect();
    let source = workshop.write(source, &format!("{opening}\n{lines}}}\n"));
    let first = opening.lines().count() + 1;
    for compiler in compilers {
        for standard in standards {
            let mut build = Command::new(compiler);
            build
                .arg(format!("-std={standard}"))
                .args(["-c", "-o", "/dev/null", "-I"])
                .arg(root().join("include"))
                .arg(&source);
            let said = String::from_utf8(build.output().unwrap().stderr).unwrap();
            assert!(!said.contains("error"), "{compiler}, {standard}: {said}");
            for (number, call) in (first..).zip(calls) {
                let warns = |line: &str| line.contains(&format!(":{number}:")) && line.contains("unused-result");
                assert!(said.lines().any(warns), "{compiler}, {standard}: nothing for {call}: {said}");
            }
        }
    }
}

/// Where that can cost a secret or a message.
#[test]
fn results_that_are_ignored_are_warned_of() {
    let workshop = Workshop::new();
    let calls = [
        "enos_storage_directory(0, 0)",
        "enos_storage_directory_create(0, 0)",
        "enos_config_set_storage(0, 0)",
        "enos_client_create(0, 0)",
        "enos_client_destroy(0)",
        "enos_client_activation_saved(0)",
        "enos_client_publish(0, 0, 0, 0, 1, ENOS_REQUEST_DURABLE, 0)",
        "enos_client_request(0, 0, 0)",
        "enos_client_request_batch(0, 0, 0, 0, 0)",
        "enos_client_post_measurepoints(0, 0, 0, ENOS_REQUEST_DURABLE, 0)",
        "enos_client_post_event(0, 0, 0, 0, ENOS_REQUEST_DURABLE, 0)",
        "enos_client_update_attributes(0, 0, 0, ENOS_REQUEST_DURABLE, 0)",
        "enos_command_retain(0)",
        "enos_client_add_subdevices(0, 0, 0, 0)",
        "enos_client_set_subdevice_online(0, 0, 0)",
        "enos_ota_installed(0, 0)",
    ];
    let names = calls.map(|call| call.split_once('(').unwrap().0);
    assert_eq!(marked(&code(&header()), "ENOS_MUST_USE"), names);
    let opening = "#include <enos.h>\nint main(void)\n{";
    warned_of(&workshop, c_compilers(), &C_STANDARDS, "ignores.c", opening, &calls);
    warned_of(&workshop, cpp_compilers(), &CPP_STANDARDS, "ignores.cpp", opening, &calls);

    let members = [
        "client.wait(ENOS_STATE_ONLINE, 0)",
        "client.flush(0)",
        "client.publish(\"t\", \"p\")",
        "client.post_measurepoints(\"{}\")",
        "client.post_event(\"e\", \"{}\")",
        "client.update_attributes(\"{}\")",
        "client.request(enos::request(ENOS_OP_MODEL_GET))",
        "client.request_batch({})",
        "client.ota_installed(enos::firmware(nullptr))",
        "client.set_subdevice_online(1, true)",
        "client.end(0)",
    ];
    let names = members.map(|call| call.strip_prefix("client.").unwrap().split_once('(').unwrap().0);
    let cover = std::fs::read_to_string(root().join("include/enos.hpp")).unwrap();
    assert_eq!(marked(&code(&cover), "ENOS_NODISCARD"), names);
    let opening = "#include <enos.hpp>\nvoid ignore(enos::client &client)\n{";
    warned_of(&workshop, cpp_compilers(), &CPP_STANDARDS, "ignores_members.cpp", opening, &members);
}

/// The program in the header's opening.
fn example() -> String {
    let header = header();
    let (_, after) = header.split_once("@code\n").expect("the header has an example");
    let (example, _) = after.split_once(" * @endcode").unwrap();
    let lines = example.lines().map(|line| line.trim_start_matches(" *").strip_prefix("     ").unwrap_or_default());
    lines.collect::<Vec<_>>().join("\n") + "\n"
}

#[test]
fn its_example_is_a_program() {
    let workshop = Workshop::new();
    let store = workshop.path().join("no/such/parent");
    let example = example().replace("/var/lib/my-device", store.to_str().unwrap());
    let c = workshop.write("example.c", &example);
    let cpp = workshop.write("example.cpp", &example);
    for compiler in c_compilers() {
        C_STANDARDS.iter().for_each(|standard| drop(workshop.build(compiler, standard, &c)));
    }
    for compiler in cpp_compilers() {
        let program = workshop.build(compiler, "c++11", &cpp);
        // It gets as far as the storage, and says what is wrong with it.
        let output = workshop.command(&program).output().unwrap();
        assert_eq!(output.status.code(), Some(1));
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(said.starts_with("storage: ") && said.contains("no/such/parent"), "{said}");
    }
}
