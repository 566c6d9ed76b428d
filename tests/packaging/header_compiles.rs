//! include/enos.h, and enos.hpp, as compilers see them. In C it is included alone, twice, and in several files of one
//! program by c_examples, in every standard.

use support::native::{c_compilers, cpp_compilers, header, succeed, Workshop, CPP_STANDARDS, C_STANDARDS};

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
