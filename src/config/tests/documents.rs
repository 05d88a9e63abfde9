//! Every file of `tests/config` gives exactly the errors that stand at its head, or none.
//!
//! A bad file begins with lines `# error: LINE:COLUMN: what is wrong; what would be right`, one for each error, in order. A good
//! one has no such line, and its canonical form means the same. A new rule needs a file there and nothing here.

use millrace_config::{Diagnostic, parse};
use std::{fs, path::Path};

#[test]
fn documents_give_the_errors_they_name() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/config");
    let mut paths: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    let (mut good, mut bad, mut wrong) = (0, 0, Vec::new());
    for path in paths.iter().filter(|path| path.extension().is_some_and(|e| e == "yaml")) {
        let text = fs::read_to_string(path).unwrap();
        let name = path.file_name().unwrap().to_str().unwrap();
        let expected: Vec<_> =
            text.lines().map_while(|line| line.strip_prefix("# error: ")).map(|e| format!("{name}:{e}")).collect();
        assert_eq!(name.starts_with("bad"), !expected.is_empty(), "{name}: only bad files name errors");
        let result = parse(&text, name);
        let found: Vec<_> = result.as_ref().err().into_iter().flatten().map(Diagnostic::to_string).collect();
        if found != expected {
            wrong.push(format!("{name} should give\n  {}\nbut gives\n  {}", expected.join("\n  "), found.join("\n  ")));
        }
        if let Ok(config) = result {
            let canonical = config.to_yaml();
            assert_eq!(parse(&canonical, "canonical"), Ok(config), "{name} as\n{canonical}");
            good += 1;
        } else {
            bad += 1;
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
    assert!(good >= 6 && bad >= 25, "{good} good and {bad} bad documents were found");
}
