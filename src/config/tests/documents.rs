//! Every file of `tests/config` gives exactly the errors that stand at its head, or none.
//!
//! A file called `bad-*` begins with lines `# error: LINE:COLUMN: what is wrong; what would be right`, one for each error, in
//! order. A file called `good-*` has no such line, and its canonical form means the same. A new rule needs a file there and nothing
//! here; `BLESS=1 cargo test -p millrace-config` writes the lines, for you to read whether they are right.

use millrace_config::{Diagnostic, parse};
use proptest::{prelude::*, sample::Index};
use std::{env, fs, path::Path};

const MARK: &str = "# error: ";

/// The errors of a text as the lines that stand at a file's head.
fn errors(text: &str) -> Vec<String> {
    let line = |e: &Diagnostic| format!("{MARK}{}:{}: {}; {}", e.line, e.column, e.message, e.hint);
    parse(text, "").err().iter().flatten().map(line).collect()
}

/// The text with the errors that it gives at its head, where they move everything down by their number.
fn blessed(text: &str) -> String {
    let body: String = text.lines().skip_while(|line| line.starts_with(MARK)).map(|line| format!("{line}\n")).collect();
    let room = format!("{MARK}\n").repeat(errors(&body).len());
    let head: String = errors(&format!("{room}{body}")).iter().map(|line| format!("{line}\n")).collect();
    head + &body
}

#[test]
fn documents_give_the_errors_they_name() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/config");
    let mut paths: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|e| e == "yaml"));
    paths.sort();
    let (mut good, mut bad, mut wrong) = (0, 0, Vec::new());
    for path in paths {
        let name = path.file_name().unwrap().to_str().unwrap();
        if env::var_os("BLESS").is_some() {
            fs::write(&path, blessed(&fs::read_to_string(&path).unwrap())).unwrap();
        }
        let text = fs::read_to_string(&path).unwrap();
        let expected: Vec<_> = text.lines().take_while(|line| line.starts_with(MARK)).collect();
        let found = errors(&text);
        if found != expected {
            wrong.push(format!("{name} should give\n  {}\nbut gives\n  {}", expected.join("\n  "), found.join("\n  ")));
        }
        match (parse(&text, name), name.split_once('-').unwrap().0) {
            (Ok(config), "good") => {
                let canonical = config.to_yaml();
                assert_eq!(parse(&canonical, "canonical"), Ok(config), "{name} as\n{canonical}");
                good += 1;
            }
            (Err(_), "bad") => bad += 1,
            _ => wrong.push(format!("{name} is not what its name says")),
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
    assert!(good >= 6 && bad >= 25, "{good} good and {bad} bad documents were found");
}

#[test]
fn an_error_reads_as_file_line_column_what_is_wrong_what_would_be_right() {
    let errors = parse("workers:\n  count: many\n", "configs/router.yaml").unwrap_err();
    let line = "configs/router.yaml:2:10: workers: count: cannot take \"many\"; expected a whole number from 1 to 64";
    assert_eq!(errors.iter().map(Diagnostic::to_string).collect::<Vec<_>>(), [line]);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    /// However a file is damaged, it is read or refused, and each error points into it.
    #[test]
    fn damaged_files_are_read_or_refused(which in 0..4usize, cuts in prop::collection::vec((any::<Index>(), any::<Index>(), "[\\PC\n:,{}\\[\\]\"-]{0,3}"), 1..4)) {
        let router = include_str!("../../../tests/config/good-router.yaml");
        let nat44 = include_str!("../../../tests/config/good-nat44.yaml");
        let dual = include_str!("../../../tests/config/good-dual-stack.yaml");
        let vswitch = include_str!("../../../tests/config/good-vswitch.yaml");
        let mut text: Vec<char> = [router, nat44, dual, vswitch][which].chars().collect();
        for (at, length, with) in cuts {
            let at = at.index(text.len());
            let end = (at + length.index(8)).min(text.len());
            text.splice(at..end, with.chars());
        }
        let text: String = text.into_iter().collect();
        match parse(&text, "") {
            Ok(config) => prop_assert!(config.problems().is_empty()),
            Err(errors) => {
                prop_assert!(!errors.is_empty());
                let lines = text.lines().count() + 1;
                prop_assert!(errors.iter().all(|e| (1..=lines).contains(&e.line) && e.column >= 1), "{:?} in\n{}", errors, text);
            }
        }
    }
}
