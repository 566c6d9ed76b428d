//! The pages are correct: links work, names exist, tables are complete, and worked examples are right. Other tests of
//! this program run the commands of docs/quick-start.md and docs/offline-build.md; the simulator's tests run those of
//! docs/provisioning.md.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use support::native::{code, header, root, succeed, words, Workshop};

fn read(name: &str) -> String {
    fs::read_to_string(root().join(name)).unwrap_or_else(|e| panic!("{name}: {e}"))
}

/// The pages of docs/, by their paths from the root.
fn docs() -> Vec<String> {
    let names =
        fs::read_dir(root().join("docs")).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut pages: Vec<_> = names.filter(|name| name.ends_with(".md")).map(|name| format!("docs/{name}")).collect();
    pages.sort();
    pages
}

fn pages() -> Vec<String> {
    let others = [
        "README.md",
        "CHANGELOG.md",
        "CONTRIBUTING.md",
        "SECURITY.md",
        "NOTICE",
        "c_examples/README.md",
        "paho/README.md",
        "simulator/README.md",
    ];
    others.map(str::to_owned).into_iter().chain(docs()).collect()
}

/// The code blocks of this language.
fn blocks(page: &str, language: &str) -> Vec<String> {
    let text = read(page);
    let opening = format!("\n```{language}\n");
    let blocks = text.split(&opening).skip(1);
    blocks.map(|rest| format!("{}\n", rest.split_once("\n```").unwrap().0)).collect()
}

/// The cells of a page's tables, without the separator lines.
fn rows(page: &str) -> Vec<Vec<String>> {
    let text = read(page);
    let lines = text.lines().filter(|line| line.starts_with('|') && !line.starts_with("|---"));
    lines.map(|line| line.trim_matches('|').split('|').map(|cell| cell.trim().replace('`', "")).collect()).collect()
}

#[test]
fn links_lead_somewhere() {
    let mut followed = 0;
    for page in pages() {
        let text = read(&page);
        // A link may continue on the next line; code has no links.
        let prose = text.split("```").step_by(2).collect::<String>();
        for link in prose.split("](").skip(1).map(|rest| rest.split_once(')').unwrap().0) {
            if link.starts_with("https://") {
                continue;
            }
            let (file, heading) = link.split_once('#').unwrap_or((link, ""));
            let target = match file {
                "" => root().join(&page),
                _ => root().join(Path::new(&page).parent().unwrap()).join(file),
            };
            assert!(target.exists(), "{page}: {link}");
            assert!(heading.is_empty() || headings(&target).contains(heading), "{page}: {link}");
            followed += 1;
        }
    }
    assert!(followed > 40, "{followed}");
}

/// The anchors of a page's headings.
fn headings(page: &PathBuf) -> BTreeSet<String> {
    let text = fs::read_to_string(page).unwrap();
    let titles = text.lines().filter(|line| line.starts_with('#')).map(|line| line.trim_start_matches('#').trim());
    let plain = |title: &str| title.chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c)).collect::<String>();
    titles.map(|title| plain(title).to_lowercase().replace(' ', "-")).collect()
}

/// The sizes change with each build, and would differ between pages.
#[test]
fn the_librarys_size_stands_on_one_page() {
    for page in pages().iter().filter(|page| *page != "docs/benchmarks.md") {
        let text = read(page);
        let sizes = text.split(" MB").map(|before| before.rsplit(|c: char| c.is_whitespace()).next().unwrap());
        let sizes: Vec<_> = sizes.filter(|size| size.contains('.') && size.parse::<f64>().is_ok()).collect();
        assert!(sizes.is_empty(), "{page}: {sizes:?}");
    }
}

#[test]
fn the_index_has_every_page() {
    let index = read("docs/README.md");
    for page in docs().iter().filter(|page| *page != "docs/README.md") {
        let name = page.strip_prefix("docs/").unwrap();
        assert!(index.contains(&format!("({name})")), "{name}");
    }
}

/// Functions, constants, options and variables that the pages name must exist.
#[test]
fn what_they_name_exists() {
    let mut sources =
        ["CMakeLists.txt", "Makefile", "src/protocol/operations/mod.rs"].map(|name| root().join(name)).to_vec();
    for directory in ["include", "c_examples", "cmake", "scripts"] {
        let files = fs::read_dir(root().join(directory)).unwrap().map(|entry| entry.unwrap().path());
        sources
            .extend(files.filter(|path| path.is_file() && path.extension().is_none_or(|extension| extension != "md")));
    }
    let known = sources.iter().map(|path| fs::read_to_string(path).unwrap()).collect::<Vec<_>>().join("\n");
    // These are gone, and docs/migrating.md says what replaces them.
    let gone = ["enos_client_reply", "ENOS_PUBLISH_", "enos_publish_flags"];
    let known: BTreeSet<_> = words(&known).chain(["enos_sim"]).chain(gone).collect();
    for page in pages() {
        // paho/README.md names variables of its own, and CONTRIBUTING.md adds an operation as an example.
        if page == "paho/README.md" || page == "CONTRIBUTING.md" {
            continue;
        }
        let text = if page == "docs/migrating.md" { ours(&read(&page)) } else { read(&page) };
        for word in words(&text).filter(|word| word.starts_with("enos_") || word.starts_with("ENOS_")) {
            // enos_client_ means all names with this prefix.
            let exists = known.contains(word) || word.ends_with('_') && known.iter().any(|k| k.starts_with(word));
            assert!(exists, "{page}: {word}");
        }
    }
}

/// The parts of a page about other SDKs that are about this library: the last cells of its tables of calls, and the
/// rest of its text, except the chapter about missing features.
fn ours(text: &str) -> String {
    let chapters = text.split("\n## ").filter(|chapter| !chapter.starts_with("What is not there yet"));
    let mut out = String::new();
    for chapter in chapters {
        for line in chapter.lines() {
            out += match line.trim_end_matches([' ', '|']).rsplit_once('|') {
                Some((_, last)) if chapter.starts_with("enos-") => last,
                _ => line,
            };
            out.push('\n');
        }
    }
    out
}

#[test]
fn every_status_is_explained() {
    let code = code(&header());
    let values = code.split_once("typedef enum enos_status_code {").unwrap().1.split_once('}').unwrap().0;
    let values = values.split(',').filter_map(|value| value.trim().split_once(" = "));
    let statuses: Vec<_> = values.map(|(name, number)| vec![name.to_owned(), number.to_owned()]).collect();
    let explained: Vec<_> = rows("docs/errors.md").into_iter().filter(|row| row[0].starts_with("ENOS_")).collect();
    assert!(statuses.len() > 20);
    assert_eq!(explained.iter().map(|row| row[..2].to_vec()).collect::<Vec<_>>(), statuses);
    for row in explained {
        assert!(row.len() == 4 && !row[2].is_empty(), "{row:?}");
    }
}

#[test]
fn the_versions_are_those_of_this_library() {
    let rows = rows("docs/abi.md");
    let now = |what: &str| rows.iter().find(|row| row[0].starts_with(what)).unwrap()[2].clone();
    assert_eq!(now("version of the header"), env!("CARGO_PKG_VERSION"));
    assert_eq!(now("ABI of the header"), env!("ENOS_ABI_VERSION"));
    assert_eq!(now("SONAME"), concat!("libenos.so.", env!("ENOS_ABI_VERSION")));
    // The names of the Debian packages contain it.
    for page in pages() {
        for named in ["libenos", "libenos.so."].iter().flat_map(|before| after(&read(&page), before)) {
            assert_eq!(named, env!("ENOS_ABI_VERSION"), "{page}");
        }
    }
}

/// The numbers right after these words.
fn after(text: &str, words: &str) -> Vec<String> {
    let number = |rest: &str| rest.chars().take_while(char::is_ascii_digit).collect::<String>();
    text.split(words).skip(1).map(number).filter(|number| !number.is_empty()).collect()
}

/// Compares with OpenSSL, and with the library.
#[test]
fn the_signatures_are_right() {
    let [commands] = &blocks("docs/signing.md", "sh")[..] else { panic!() };
    let [_, digests, signed] = &blocks("docs/signing.md", "text")[..] else { panic!() };
    assert_eq!(succeed(Command::new("sh").args(["-ec", commands])), *digests);
    assert!(digests.lines().count() == 3 && digests.lines().all(|digest| signed.contains(digest)));

    let page = read("docs/signing.md");
    let (_, command) = page.split_once("`ENOS_SECRET=").unwrap();
    let (secret, rest) = command.split_once(" ./01_sign ").unwrap();
    let arguments = rest.split_once('`').unwrap().0.split(' ');
    let workshop = Workshop::new();
    let program = workshop.build("cc", "c11", &root().join("c_examples/01_sign.c"));
    assert_eq!(succeed(workshop.command(program).args(arguments).env("ENOS_SECRET", secret)), *signed);
}
