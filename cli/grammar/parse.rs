//! The parser: takes words one at a time and knows at each point what can follow. The same walk serves running a
//! command, `?` and completion, so that they can't disagree.
use std::collections::BTreeMap;
use std::ops::Range;

use super::{Arg, Command, Keyword, Kind, Line, Value, Word};
use crate::commands::Grammar;

/// What was given to a command, by the names of its values and keywords.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Args(BTreeMap<&'static str, String>);

impl Args {
    /// A value that may have been left out; of a keyword without a value, the empty string.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// The same as an owned string, as messages of the API take it.
    pub fn owned(&self, name: &str) -> Option<String> {
        self.0.get(name).cloned()
    }

    /// A value that the grammar demands; empty only if it does not.
    pub fn text(&self, name: &str) -> String {
        self.owned(name).unwrap_or_default()
    }

    /// Whether a keyword was given.
    pub fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// A number, which the grammar has checked already.
    pub fn number<T: TryFrom<u64>>(&self, name: &str) -> Option<T> {
        self.get(name)?.parse::<u64>().ok()?.try_into().ok()
    }
}

/// A command with what was given to it.
#[derive(Debug)]
pub struct Invocation {
    /// The command.
    pub command: &'static Command,
    /// Its values and keywords.
    pub args: Args,
}

/// What is wrong with a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParseError {
    /// What is wrong, and what would be right.
    pub message: String,
    /// The words to blame.
    pub span: Range<usize>,
}

/// Something that can follow.
#[derive(Debug, Clone, Copy)]
pub enum Expected {
    /// This word, with its help.
    Word(&'static str, &'static str),
    /// A value.
    Value(Value),
    /// Nothing: the command is whole.
    Enter,
}

/// Where a line stands after some of its words.
#[derive(Debug, Clone)]
pub struct Parser {
    grammar: &'static Grammar,
    /// The commands that the words so far leave.
    commands: Vec<&'static Command>,
    /// How many words of their paths are done.
    depth: usize,
    /// The path so far, in full words.
    path: Vec<&'static str>,
    /// The arguments, once the path is whole.
    bound: Option<Bound>,
}

#[derive(Debug, Clone)]
struct Bound {
    command: &'static Command,
    args: Args,
    /// How many of `command.args` that are values in their places have been passed.
    passed: usize,
    /// A keyword whose value must come next.
    pending: Option<Keyword>,
    /// A value that takes more words, by its name in `args`.
    many: Option<(&'static str, Kind)>,
}

/// Parses a whole line. `None` when there is nothing in it.
pub fn parse(grammar: &'static Grammar, line: &Line) -> Result<Option<Invocation>, ParseError> {
    if line.words.is_empty() {
        return Ok(None);
    }
    let end = line.words.last().map_or(0, |word| word.span.end);
    if line.open_quote {
        return Err(ParseError { message: "a quote is not closed".to_owned(), span: end..end });
    }
    let mut parser = Parser::new(grammar);
    for word in &line.words {
        parser.feed(word)?;
    }
    parser.finish(end).map(Some)
}

impl Parser {
    /// At the beginning of a line.
    pub fn new(grammar: &'static Grammar) -> Parser {
        Parser { grammar, commands: grammar.commands().collect(), depth: 0, path: Vec::new(), bound: None }
    }

    /// Takes the next word.
    pub fn feed(&mut self, word: &Word) -> Result<(), ParseError> {
        if let Some(bound) = &mut self.bound {
            return bound.feed(word);
        }
        let found = resolve(word, &self.path_words())?;
        self.commands.retain(|command| command.path.get(self.depth) == Some(&found));
        self.path.push(found);
        self.depth += 1;
        let whole = self.commands.iter().find(|command| command.path.len() == self.depth);
        self.bound = whole.map(|command| Bound::new(command));
        Ok(())
    }

    /// Everything that can follow, in the order of the grammar.
    pub fn expected(&self) -> Vec<Expected> {
        match &self.bound {
            Some(bound) => bound.expected(),
            None => self.path_words().into_iter().map(|word| Expected::Word(word, self.topic(word))).collect(),
        }
    }

    /// The commands that the words so far leave.
    pub fn commands(&self) -> &[&'static Command] {
        &self.commands
    }

    /// Whether the path of a command is whole, so that only its arguments can follow.
    pub fn is_bound(&self) -> bool {
        self.bound.is_some()
    }

    /// Whether the words so far are a command that can run, and which. `end` is where they end.
    pub fn finish(self, end: usize) -> Result<Invocation, ParseError> {
        let missing = |what: String| ParseError { message: what, span: end..end };
        let Some(bound) = self.bound else {
            let words = self.path_words().join(", ");
            return Err(missing(format!("\"{}\" is incomplete; expected one of: {words}", self.path.join(" "))));
        };
        match bound.missing() {
            Some(what) => Err(missing(format!("\"{}\" still needs {what}", bound.command.name()))),
            None => Ok(Invocation { command: bound.command, args: bound.args }),
        }
    }

    /// The distinct words that the next part of a path can be.
    fn path_words(&self) -> Vec<&'static str> {
        let mut words = Vec::new();
        for command in &self.commands {
            if let Some(&word) = command.path.get(self.depth)
                && !words.contains(&word)
            {
                words.push(word);
            }
        }
        words
    }

    /// The help of a word of a path: a command's own, or that of the topic above several.
    fn topic(&self, word: &'static str) -> &'static str {
        let path: Vec<&str> = self.path.iter().copied().chain([word]).collect();
        let command = self.commands.iter().find(|command| command.path == path);
        command.map_or_else(|| self.grammar.topic(&path.join(" ")), |command| command.help)
    }
}

impl Bound {
    fn new(command: &'static Command) -> Bound {
        Bound { command, args: Args::default(), passed: 0, pending: None, many: None }
    }

    fn feed(&mut self, word: &Word) -> Result<(), ParseError> {
        if let Some((name, kind)) = self.many {
            let ends = kind == Kind::Expression && self.open().iter().any(|keyword| keyword.word == word.text);
            if !ends {
                let so_far = self.args.0.entry(name).or_default();
                so_far.push(' ');
                so_far.push_str(&word.text);
                return Ok(());
            }
            self.many = None;
        }
        if let Some(keyword) = self.pending.take()
            && let Some(value) = keyword.value
        {
            return self.take(keyword.word, value.kind, word);
        }
        match self.place() {
            Some((value, optional)) => {
                if optional && let Ok(keyword) = self.keyword(word) {
                    self.take_keyword(keyword);
                } else {
                    self.passed += 1;
                    return self.take(value.name, value.kind, word);
                }
            }
            None => {
                let keyword = self.keyword(word)?;
                self.take_keyword(keyword);
            }
        }
        Ok(())
    }

    /// Takes a word as the value of this name.
    fn take(&mut self, name: &'static str, kind: Kind, word: &Word) -> Result<(), ParseError> {
        kind.check(&word.text).map_err(|message| ParseError { message, span: word.span.clone() })?;
        self.args.0.insert(name, word.text.clone());
        self.many = kind.takes_many().then_some((name, kind));
        Ok(())
    }

    fn take_keyword(&mut self, keyword: Keyword) {
        // A value in its place can't come after a keyword.
        self.passed = self.places().count();
        match keyword.value {
            Some(_) => self.pending = Some(keyword),
            None => {
                self.args.0.insert(keyword.word, String::new());
            }
        }
    }

    /// The keyword that a word stands for.
    fn keyword(&self, word: &Word) -> Result<Keyword, ParseError> {
        let open = self.open();
        if open.is_empty() {
            let message = format!("nothing can follow here, but \"{}\" does", word.text);
            return Err(ParseError { message, span: word.span.clone() });
        }
        let words: Vec<&'static str> = open.iter().map(|keyword| keyword.word).collect();
        // A word that can't be given here is better called that than unknown.
        let mut all = self.command.args.iter().flat_map(Arg::keywords);
        if !words.contains(&word.text.as_str())
            && let Some(known) = all.find(|keyword| keyword.word == word.text)
        {
            if let Some((other, value)) = self.against(known) {
                let message = format!("\"{}\" doesn't go with {other} {value}", word.text);
                return Err(ParseError { message, span: word.span.clone() });
            }
            let message = format!("\"{}\" can't be given here again or with what stands before", word.text);
            return Err(ParseError { message, span: word.span.clone() });
        }
        let found = resolve(word, &words)?;
        let unknown = || ParseError { message: format!("unknown word \"{found}\""), span: word.span.clone() };
        open.into_iter().find(|keyword| keyword.word == found).ok_or_else(unknown)
    }

    /// The values in their places, with whether each may be left out.
    fn places(&self) -> impl Iterator<Item = (Value, bool)> {
        self.command.args.iter().filter_map(|arg| match arg {
            Arg::Value(value) => Some((*value, false)),
            Arg::Maybe(value) => Some((*value, true)),
            _ => None,
        })
    }

    /// The value whose place is next.
    fn place(&self) -> Option<(Value, bool)> {
        self.places().nth(self.passed)
    }

    /// The keywords that may still be given.
    fn open(&self) -> Vec<Keyword> {
        let used = |keyword: &Keyword| self.args.has(keyword.word);
        let mut open = Vec::new();
        for arg in self.command.args {
            if !matches!(arg, Arg::OneOf(words) if words.iter().any(used)) {
                let fits = |keyword: &&Keyword| !used(keyword) && self.against(keyword).is_none();
                open.extend(arg.keywords().iter().filter(fits).copied());
            }
        }
        open
    }

    /// The word and its value that a keyword doesn't go with.
    fn against(&self, keyword: &Keyword) -> Option<(&'static str, &str)> {
        let (other, values) = keyword.with?;
        let value = self.args.get(other)?;
        // What is only suggested is for the daemon to judge when it is something else.
        let of = self.command.args.iter().flat_map(Arg::keywords).find(|keyword| keyword.word == other)?;
        let unknown = matches!(of.value?.kind, Kind::Suggest(words) if !words.contains(&value));
        (!unknown && !values.contains(&value)).then_some((other, value))
    }

    /// What must still be given before the command can run.
    fn missing(&self) -> Option<String> {
        if let Some(Keyword { word, value: Some(value), .. }) = self.pending {
            return Some(format!("{} after \"{word}\"", value.name));
        }
        if let Some((value, false)) = self.place() {
            return Some(format!("{} ({})", value.name, value.help));
        }
        let names = |keywords: &[Keyword]| keywords.iter().map(|k| k.word).collect::<Vec<_>>().join(", ");
        self.command.args.iter().find_map(|arg| {
            let given = arg.keywords().iter().any(|keyword| self.args.has(keyword.word));
            match arg {
                Arg::Required(keyword) if !given => Some(format!("\"{}\"", keyword.word)),
                Arg::OneOf(keywords) | Arg::AnyOf(keywords) if !given => Some(format!("one of: {}", names(keywords))),
                _ => None,
            }
        })
    }

    fn expected(&self) -> Vec<Expected> {
        if let Some(value) = self.pending.and_then(|keyword| keyword.value) {
            return vec![Expected::Value(value)];
        }
        let place = self.place();
        let mut expected: Vec<Expected> = place.iter().map(|(value, _)| Expected::Value(*value)).collect();
        if place.is_none_or(|(_, optional)| optional) {
            expected.extend(self.open().iter().map(|keyword| Expected::Word(keyword.word, keyword.help)));
        }
        if self.missing().is_none() {
            expected.push(Expected::Enter);
        }
        expected
    }
}

/// The one of `words` that `word` is, or the only one that begins with it.
fn resolve(word: &Word, words: &[&'static str]) -> Result<&'static str, ParseError> {
    let text = word.text.as_str();
    let error = |message| Err(ParseError { message, span: word.span.clone() });
    if let Some(exact) = words.iter().find(|known| **known == text) {
        return Ok(exact);
    }
    let begun: Vec<&'static str> =
        words.iter().copied().filter(|known| !text.is_empty() && known.starts_with(text)).collect();
    match begun[..] {
        [only] => Ok(only),
        [] => match words.iter().copied().min_by_key(|known| distance(known, text)) {
            Some(near) if distance(near, text) <= 1 + text.len() / 4 => {
                error(format!("unknown word \"{text}\"; did you mean \"{near}\"?"))
            }
            _ => error(format!("unknown word \"{text}\"; expected one of: {}", words.join(", "))),
        },
        _ => error(format!("ambiguous word \"{text}\": {}", begun.join(", "))),
    }
}

/// How many letters must be put in, left out, changed or swapped with their neighbour to make one word the other
/// (optimal string alignment).
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut rows: Vec<Vec<usize>> = vec![(0..=b.len()).collect()];
    for (i, &x) in a.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, &y) in b.iter().enumerate() {
            let mut best = (rows[i][j] + usize::from(x != y)).min(rows[i][j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && x == b[j - 1] && y == a[i - 1] {
                best = best.min(rows[i - 1][j - 1] + 1);
            }
            row.push(best);
        }
        rows.push(row);
    }
    rows[a.len()][b.len()]
}
