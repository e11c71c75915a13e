//! Which styles a text can be written in: libyaml's `yaml_emitter_analyze_scalar` (emitterc.go).

use super::{Dialect, scalar::Style};

/// What was found out about a text.
#[derive(Debug, Clone, Copy)]
#[expect(clippy::struct_excessive_bools, reason = "the flags libyaml keeps")]
pub(super) struct Analysis {
    /// Whether it has line breaks.
    pub(super) multiline: bool,
    plain: bool,
    single: bool,
    block: bool,
    empty: bool,
}

impl Analysis {
    /// Looks at every character once.
    pub(super) fn of(text: &str, dialect: Dialect) -> Self {
        if text.is_empty() {
            return Self { multiline: false, plain: true, single: true, block: false, empty: true };
        }
        let mut seen = Seen { indicators: text.starts_with("---") || text.starts_with("..."), ..Seen::default() };
        let mut characters = text.char_indices().peekable();
        let mut after_blank = true;
        while let Some((at, c)) = characters.next() {
            let next = characters.peek().map(|(_, next)| *next);
            seen.character(c, at == 0, after_blank, next, dialect);
            after_blank = is_blank(c) || is_break(c);
        }
        seen.conclude()
    }

    /// The style that is taken when `wanted` is asked for (`yaml_emitter_select_scalar_style`).
    pub(super) fn allowed(self, wanted: Style, key: bool) -> Style {
        let mut style = if key && self.multiline { Style::Double } else { wanted };
        if style == Style::Plain && (!self.plain || (self.empty && key)) {
            style = Style::Single;
        }
        if style == Style::Single && !self.single {
            style = Style::Double;
        }
        if style == Style::Literal && (!self.block || key) {
            style = Style::Double;
        }
        style
    }
}

#[derive(Default)]
#[expect(clippy::struct_excessive_bools, reason = "the flags libyaml keeps")]
struct Seen {
    indicators: bool,
    breaks: bool,
    special: bool,
    tabs: bool,
    edge: bool,
    trailing_space: bool,
    break_space: bool,
    space_break: bool,
    previous_space: bool,
    previous_break: bool,
}

impl Seen {
    fn character(&mut self, c: char, first: bool, after_blank: bool, next: Option<char>, dialect: Dialect) {
        let before_blank = next.is_none_or(is_blank);
        self.indicators |= match c {
            ',' | '[' | ']' | '{' | '}' | '&' | '*' | '!' | '|' | '>' | '\'' | '"' | '%' | '@' | '`' => first,
            '#' => first || after_blank,
            '?' | '-' => first && before_blank,
            ':' => before_blank,
            _ => false,
        };
        if c == '\t' && dialect == Dialect::V3 {
            self.tabs = true;
        } else if !is_printable(c) {
            self.special = true;
        }
        let last = next.is_none();
        if c == ' ' {
            self.edge |= first || last;
            self.trailing_space |= last;
            self.break_space |= self.previous_break;
        } else if is_break(c) {
            self.breaks = true;
            self.edge |= first || last;
            self.space_break |= self.previous_space;
        }
        self.previous_space = c == ' ';
        self.previous_break = is_break(c);
    }

    fn conclude(&self) -> Analysis {
        let hard = self.space_break || self.special;
        Analysis {
            multiline: self.breaks,
            plain: !(self.edge || self.break_space || hard || self.tabs || self.breaks || self.indicators),
            single: !(self.break_space || hard || self.tabs),
            block: !(self.trailing_space || hard),
            empty: false,
        }
    }
}

/// Space or tab.
pub(super) fn is_blank(c: char) -> bool {
    c == ' ' || c == '\t'
}

/// What YAML 1.1 breaks lines at.
pub(super) fn is_break(c: char) -> bool {
    matches!(c, '\r' | '\n' | '\u{85}' | '\u{2028}' | '\u{2029}')
}

/// What go-yaml writes as it is; nothing beyond the basic plane.
pub(super) fn is_printable(c: char) -> bool {
    matches!(c, '\n' | ' '..='~' | '\u{a0}'..='\u{d7ff}' | '\u{e000}'..='\u{fefe}' | '\u{ff00}'..='\u{fffd}')
}
