//! What help says: the list under `?`, the overview, and a page for each command. All of it comes from the grammar.
use super::{Arg, Command, Expected, Keyword, Parser, Value};
use crate::commands::Grammar;

/// The list that `?` prints: one line for everything in `expected` that begins with `partial`. `names` tells the
/// names that a value can take now.
pub fn follow_text(expected: &[Expected], partial: &str, names: impl Fn(&Value) -> Vec<String>) -> String {
    let mut rows = Vec::new();
    for item in expected {
        match item {
            Expected::Word(word, help) if word.starts_with(partial) => {
                rows.push(((*word).to_owned(), (*help).to_owned()))
            }
            Expected::Value(value) => rows.push((value.name.to_owned(), with_names(value, names(value)))),
            Expected::Enter if partial.is_empty() => rows.push(("<Enter>".to_owned(), "run the command".to_owned())),
            _ => {}
        }
    }
    if rows.is_empty() {
        return "  nothing can follow here\n".to_owned();
    }
    columns(&rows)
}

/// How many names of values `?` shows before it only counts the rest.
const NAMES_SHOWN: usize = 12;

fn with_names(value: &Value, names: Vec<String>) -> String {
    let Some(more) = names.len().checked_sub(NAMES_SHOWN).filter(|more| *more > 0) else {
        return if names.is_empty() { value.help.to_owned() } else { format!("{}: {}", value.help, names.join(" ")) };
    };
    format!("{}: {} and {more} more", value.help, names[..NAMES_SHOWN].join(" "))
}

/// All commands, a line each.
pub fn overview(grammar: &'static Grammar) -> String {
    let rows: Vec<_> = grammar.commands().map(|command| (command.name(), command.help.to_owned())).collect();
    let mut text = columns(&rows);
    text.push_str(concat!(
        "\nWords may be abbreviated as long as they are unique: `sh int` is `show interfaces`.\n",
        "`?` lists what can follow, Tab completes, `help COMMAND` tells more, Ctrl-D leaves.\n"
    ));
    text
}

/// The pages of all commands whose paths begin with `words`, which may be abbreviated.
pub fn page(grammar: &'static Grammar, words: &str) -> Result<String, super::ParseError> {
    let line = super::Line::split(words);
    let mut parser = Parser::new(grammar);
    for word in &line.words {
        if !parser.is_bound() {
            parser.feed(word)?;
        }
    }
    let pages: Vec<String> = parser.commands().iter().map(|command| one_page(command)).collect();
    Ok(pages.join("\n"))
}

fn one_page(command: &Command) -> String {
    let mut text = format!("{}\n    {}\n", synopsis(command), command.help);
    let mut rows = Vec::new();
    for arg in command.args {
        match arg {
            Arg::Value(value) | Arg::Maybe(value) => rows.push((value.name.to_owned(), value.help.to_owned())),
            _ => rows.extend(arg.keywords().iter().map(|keyword| (usage(keyword), keyword.help.to_owned()))),
        }
    }
    if !rows.is_empty() {
        text.push('\n');
        text.push_str(&indent(&columns(&rows)));
    }
    if !command.more.is_empty() {
        text.push('\n');
        text.push_str(&indent(command.more.trim_end()));
    }
    text
}

/// How to type a command: `route remove PREFIX [vrf NAME]`.
pub fn synopsis(command: &Command) -> String {
    let all = |keywords: &[Keyword]| keywords.iter().map(usage).collect::<Vec<_>>().join(" | ");
    let mut text = command.name();
    for arg in command.args {
        text.push(' ');
        text.push_str(&match arg {
            Arg::Value(value) => value.name.to_owned(),
            Arg::Maybe(value) => format!("[{}]", value.name),
            Arg::Option(keyword) => format!("[{}]", usage(keyword)),
            Arg::Options(keywords) => format!("[{}]...", all(keywords)),
            Arg::Required(keyword) => usage(keyword),
            Arg::OneOf(keywords) => format!("{{{}}}", all(keywords)),
            Arg::AnyOf(keywords) => format!("{{{}}}...", all(keywords)),
        });
    }
    text
}

fn usage(keyword: &Keyword) -> String {
    match keyword.value {
        Some(value) => format!("{} {}", keyword.word, value.name),
        None => keyword.word.to_owned(),
    }
}

/// Two columns, the second aligned.
fn columns(rows: &[(String, String)]) -> String {
    let width = rows.iter().map(|(left, _)| left.chars().count()).max().unwrap_or(0);
    rows.iter().map(|(left, right)| format!("{}\n", format!("  {left:width$}  {right}").trim_end())).collect()
}

fn indent(text: &str) -> String {
    text.lines().map(|line| if line.is_empty() { "\n".to_owned() } else { format!("    {line}\n") }).collect()
}
