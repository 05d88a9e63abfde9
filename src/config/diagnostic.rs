//! What is wrong with a configuration, and where.

use std::{collections::HashMap, fmt};

/// One error of a configuration file. Reads as `file:line:column: what is wrong; what would be right`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// The file as the operator named it.
    pub file: String,
    /// The line, from 1.
    pub line: usize,
    /// The column in characters, from 1.
    pub column: usize,
    /// What is wrong.
    pub message: String,
    /// What would be right.
    pub hint: String,
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}: {}; {}", self.file, self.line, self.column, self.message, self.hint)
    }
}

impl std::error::Error for Diagnostic {}

/// A rule that a configuration breaks. Reads as `what is wrong; what would be right`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// What it is about: where the file says it, if there is a file.
    pub(crate) spot: Spot,
    /// What is wrong.
    pub message: String,
    /// What would be right.
    pub hint: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; {}", self.message, self.hint)
    }
}

/// A place in a file: line and column, from 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Position {
    pub line: usize,
    pub column: usize,
}

/// A thing of the configuration that a rule can be about, named so that it is found again in the file it came from.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Spot {
    /// The area: `interfaces`, `routes`, ...
    section: &'static str,
    /// Which of the area's things, as its key prints.
    item: String,
    /// Which of its keys; empty: the thing itself.
    key: &'static str,
    /// Which value of that key, for those that have several.
    value: String,
}

impl Spot {
    pub fn new(section: &'static str, item: impl fmt::Display) -> Self {
        Self { section, item: item.to_string(), ..Self::default() }
    }

    pub fn key(mut self, key: &'static str) -> Self {
        self.key = key;
        self
    }

    pub fn value(mut self, value: impl fmt::Display) -> Self {
        self.value = value.to_string();
        self
    }
}

/// Collects the errors of a file as it is read, and where in the file everything stood.
#[derive(Default)]
pub(crate) struct Reader {
    file: String,
    errors: Vec<Diagnostic>,
    places: HashMap<Spot, Position>,
}

impl Reader {
    pub fn new(file: &str) -> Self {
        Self { file: file.to_owned(), ..Self::default() }
    }

    /// Notes an error.
    pub fn error(&mut self, at: Position, message: impl Into<String>, hint: impl Into<String>) {
        let (file, message, hint) = (self.file.clone(), message.into(), hint.into());
        self.errors.push(Diagnostic { file, line: at.line, column: at.column, message, hint });
    }

    /// How many errors there are so far.
    pub fn count(&self) -> usize {
        self.errors.len()
    }

    /// Notes where something stands, for the rules that are checked later.
    pub fn place(&mut self, spot: Spot, at: Position) {
        self.places.entry(spot).or_insert(at);
    }

    /// Notes a broken rule as an error at the place of its value, else of its key, else of the whole thing.
    pub fn problem(&mut self, problem: Problem) {
        let Problem { mut spot, message, hint } = problem;
        let vaguer: [fn(&mut Spot); 4] = [|_| (), |s| s.value.clear(), |s| s.key = "", |s| s.item.clear()];
        let at = vaguer.iter().find_map(|step| {
            step(&mut spot);
            self.places.get(&spot).copied()
        });
        self.error(at.unwrap_or(Position { line: 1, column: 1 }), message, hint);
    }

    /// All errors, in the order of the file.
    pub fn finish(mut self) -> Vec<Diagnostic> {
        self.errors.sort_by_key(|e| (e.line, e.column));
        self.errors
    }
}
