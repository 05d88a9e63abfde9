//! The interactive shell: line editing, completion on Tab, help on `?`, history.
use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};

use rustyline::completion::{Completer, FilenameCompleter, Pair};
use rustyline::config::{CompletionType, Config};
use rustyline::error::ReadlineError;
use rustyline::highlight::Highlighter;
use rustyline::hint::Hinter;
use rustyline::history::FileHistory;
use rustyline::validate::Validator;
use rustyline::{
    Cmd, ConditionalEventHandler, Context, Editor, Event, EventContext, EventHandler, ExternalPrinter, Helper,
    KeyEvent, RepeatCount,
};

use crate::commands::GRAMMAR;
use crate::error::Error;
use crate::grammar::{Expected, Kind, Line, Parser, Word};
use crate::link::Link;
use crate::report;
use crate::session::{Session, follow};

const PROMPT: &str = "millrace> ";
const HISTORY_LINES: usize = 2000;

/// Runs the shell until the operator leaves.
pub fn run(session: &mut Session) -> ExitCode {
    // An operator whose daemon is not there learns it now, not after typing a command.
    if let Err(error) = session.link.open() {
        return report(&error, "", None);
    }
    let mut editor = match editor(&session.link) {
        Ok(editor) => editor,
        Err(error) => return report(&Error::File(format!("can't use this terminal: {error}")), "", None),
    };
    let history = history_file();
    if let Some(file) = &history {
        // There is none at the first start.
        let _ = editor.load_history(file);
    }
    while !session.leaving {
        match editor.readline(PROMPT) {
            Ok(text) => {
                // A history that can't be kept is no reason to stop.
                if editor.add_history_entry(text.as_str()).unwrap_or(false)
                    && let Some(file) = &history
                {
                    let _ = editor.append_history(file);
                }
                if let Err(error) = session.run(&Line::split(&text)) {
                    report(&error, &text, None);
                }
            }
            Err(ReadlineError::Interrupted) => {}
            Err(ReadlineError::Eof) => break,
            Err(error) => return report(&Error::File(format!("can't read a line: {error}")), "", None),
        }
    }
    ExitCode::SUCCESS
}

fn editor(link: &Arc<Link>) -> rustyline::Result<Editor<Assistant, FileHistory>> {
    let config = Config::builder()
        .max_history_size(HISTORY_LINES)?
        .history_ignore_space(true)
        .completion_type(CompletionType::List)
        .completion_show_all_if_ambiguous(true)
        .build();
    let mut editor = Editor::with_config(config)?;
    editor.set_helper(Some(Assistant { link: link.clone(), files: FilenameCompleter::new() }));
    let printer = Mutex::new(editor.create_external_printer()?);
    let key = QuestionMark { link: link.clone(), printer };
    editor.bind_sequence(KeyEvent::from('?'), EventHandler::Conditional(Box::new(key)));
    Ok(editor)
}

/// `$XDG_STATE_HOME/millrace/history`, or below `~/.local/state`. The folder is made if it is missing.
fn history_file() -> Option<PathBuf> {
    let absolute = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let state = absolute("XDG_STATE_HOME").or_else(|| absolute("HOME").map(|home| home.join(".local/state")))?;
    let folder = state.join("millrace");
    DirBuilder::new().recursive(true).mode(0o700).create(&folder).ok()?;
    Some(folder.join("history"))
}

/// What can stand at the cursor: everything that can follow the words before it.
fn expected_at(words: &[Word]) -> Option<Vec<Expected>> {
    let mut parser = Parser::new(&GRAMMAR);
    words.iter().try_for_each(|word| parser.feed(word)).ok()?;
    Some(parser.expected())
}

/// `?`: prints what can follow above the prompt, and keeps the line. Within quotes it is a letter like any other.
struct QuestionMark<P> {
    link: Arc<Link>,
    printer: Mutex<P>,
}

impl<P: ExternalPrinter + Send> ConditionalEventHandler for QuestionMark<P> {
    fn handle(&self, _: &Event, _: RepeatCount, _: bool, context: &EventContext) -> Option<Cmd> {
        let before = context.line().get(..context.pos())?;
        if Line::split(before).open_quote {
            return None;
        }
        let (words, partial) = Line::at_cursor(before);
        let text = match expected_at(&words) {
            Some(expected) => follow(&self.link, &expected, &partial.text),
            None => "  the words before this are no command\n".to_owned(),
        };
        let mut printer = self.printer.lock().unwrap_or_else(PoisonError::into_inner);
        // With the line as it was, as if the key had ended it. A terminal that can't print is noticed at the next key.
        let _ = printer.print(format!("{PROMPT}{before}?\n{text}"));
        Some(Cmd::Noop)
    }
}

/// Completion on Tab.
struct Assistant {
    link: Arc<Link>,
    files: FilenameCompleter,
}

// Of what the editor could do for a line, only completion is wanted.
impl Helper for Assistant {}
impl Hinter for Assistant {
    type Hint = String;
}
impl Highlighter for Assistant {}
impl Validator for Assistant {}

impl Completer for Assistant {
    type Candidate = Pair;

    fn complete(&self, line: &str, pos: usize, context: &Context<'_>) -> rustyline::Result<(usize, Vec<Pair>)> {
        let before = line.get(..pos).unwrap_or(line);
        let (words, partial) = Line::at_cursor(before);
        let expected = expected_at(&words).unwrap_or_default();
        if expected.iter().any(|item| matches!(item, Expected::Value(value) if value.kind == Kind::File)) {
            return self.files.complete(line, pos, context);
        }
        let pairs = candidates(&self.link, &expected, &partial.text);
        let pair = |word: String| Pair { replacement: format!("{word} "), display: word };
        Ok((partial.span.start, pairs.into_iter().map(pair).collect()))
    }
}

/// The words that can stand at the cursor and begin with `partial`.
pub fn candidates(link: &Link, expected: &[Expected], partial: &str) -> Vec<String> {
    let mut words = Vec::new();
    for item in expected {
        match item {
            Expected::Word(word, _) if word.starts_with(partial) => words.push((*word).to_owned()),
            Expected::Value(value) => words.extend(crate::live::names(link, value.kind, partial)),
            Expected::Word(..) | Expected::Enter => {}
        }
    }
    words
}
