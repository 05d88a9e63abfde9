//! A line, split into words. Words are separated by blanks; quotes keep blanks together; `#` begins a comment where a
//! word could begin.
use std::ops::Range;

/// A word of a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Word {
    /// What it says, without its quotes.
    pub text: String,
    /// Where it stands in the line, quotes included, in bytes.
    pub span: Range<usize>,
}

/// A line with its words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// The line as typed.
    pub text: String,
    /// Its words.
    pub words: Vec<Word>,
    /// Whether a quote is still open at its end.
    pub open_quote: bool,
}

impl Line {
    /// Splits a line.
    pub fn split(text: &str) -> Line {
        let mut words = Vec::new();
        let mut word: Option<Word> = None;
        let mut quote: Option<char> = None;
        let mut chars = text.char_indices();
        while let Some((at, c)) = chars.next() {
            match quote {
                Some(open) if c == open => quote = None,
                None if c.is_whitespace() => words.extend(word.take()),
                None if c == '#' && word.is_none() => break,
                _ => {
                    let word = word.get_or_insert_with(|| Word { text: String::new(), span: at..at });
                    match c {
                        '"' | '\'' if quote.is_none() => quote = Some(c),
                        '\\' if quote == Some('"') => word.text.extend(chars.next().map(|(_, escaped)| escaped)),
                        _ => word.text.push(c),
                    }
                }
            }
            if let Some(word) = &mut word {
                word.span.end = chars.offset();
            }
        }
        words.extend(word);
        Line { text: text.to_owned(), words, open_quote: quote.is_some() }
    }

    /// Takes words that a shell has split already, each as it is.
    pub fn from_words(words: &[String]) -> Line {
        let mut text = String::new();
        let words = words
            .iter()
            .map(|word| {
                if !text.is_empty() {
                    text.push(' ');
                }
                let start = text.len();
                text.push_str(word);
                Word { text: word.clone(), span: start..text.len() }
            })
            .collect();
        Line { text, words, open_quote: false }
    }

    /// Splits what stands before the cursor into the words that are done, and the one that is being typed with the
    /// place where it begins.
    pub fn at_cursor(before: &str) -> (Vec<Word>, Word) {
        let mut line = Line::split(before);
        let done = !line.open_quote && before.chars().next_back().is_none_or(char::is_whitespace);
        let last = if done { None } else { line.words.pop() };
        let end = Word { text: String::new(), span: before.len()..before.len() };
        (line.words, last.unwrap_or(end))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn splits_at_blanks_outside_quotes() {
        let cases: &[(&str, &[&str])] = &[
            ("", &[]),
            ("  show  interfaces ", &["show", "interfaces"]),
            ("trace add x 1 filter 'tcp port 80'", &["trace", "add", "x", "1", "filter", "tcp port 80"]),
            (r#"a "b \"c\" d"e f"#, &["a", "b \"c\" de", "f"]),
            ("show version # the daemon's", &["show", "version"]),
            ("# all of it", &[]),
            ("a#b ''", &["a#b", ""]),
        ];
        for (line, words) in cases {
            let split: Vec<String> = Line::split(line).words.into_iter().map(|word| word.text).collect();
            assert_eq!(&split, words, "{line}");
        }
    }

    #[test]
    fn spans_point_into_the_line() {
        let line = Line::split("ab 'c d' é");
        let spans: Vec<&str> = line.words.iter().map(|word| &line.text[word.span.clone()]).collect();
        assert_eq!(spans, ["ab", "'c d'", "é"]);
    }

    #[test]
    fn cursor_is_in_the_last_word_unless_a_blank_ended_it() {
        let cases =
            [("sh", 0, "sh", 0), ("show ", 1, "", 5), ("show in", 1, "in", 5), ("a 'b c", 1, "b c", 2), ("", 0, "", 0)];
        for (before, done, partial, start) in cases {
            let (words, last) = Line::at_cursor(before);
            assert_eq!((words.len(), last.text.as_str(), last.span.start), (done, partial, start), "{before}");
        }
    }
}
