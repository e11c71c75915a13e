//! How a failure looks: `error: …`, its causes, the lines of the file it speaks of, and what to do next.

use std::fmt::Write as _;

use miette::{GraphicalReportHandler, GraphicalTheme, LabeledSpan, MietteDiagnostic, NamedSource, Report};

use super::text::printable;
use crate::{delivery::DeliveryError, failure::Failure, ops::template::PrintedFailure};

/// The whole text, with a final newline.
pub(super) fn render(failure: &Failure, color: bool) -> String {
    let mut out = String::new();
    if let Some(wrong) = failure.source.downcast_ref::<DeliveryError>() {
        out.push_str(&delivery(wrong, color));
    } else if failure.source.is::<PrintedFailure>() {
        let _ = writeln!(out, "Error: {failure}");
    } else {
        let _ = writeln!(out, "error: {}", printable(&failure.to_string()));
        let mut said = failure.to_string();
        let mut cause = std::error::Error::source(failure);
        while let Some(error) = cause {
            let text = error.to_string();
            // Many errors repeat their cause in their own text.
            if !said.contains(&text) {
                let _ = writeln!(out, "  because: {}", printable(&text));
            }
            said = text;
            cause = error.source();
        }
    }
    for hint in &failure.hints {
        let _ = writeln!(out, "hint: {hint}");
    }
    out
}

fn delivery(wrong: &DeliveryError, color: bool) -> String {
    let mut theme = if color { GraphicalTheme::unicode() } else { GraphicalTheme::unicode_nocolor() };
    // Carets, as compilers and `kubectl` users know them.
    theme.characters.underline = '^';
    let handler = GraphicalReportHandler::new_themed(theme).with_width(120);
    let mut out = String::new();
    for d in &wrong.diagnostics {
        let mut shown = MietteDiagnostic::new(format!("{}:{}:{}: {}", wrong.path.display(), d.line, d.column, d.message));
        shown = shown.with_label(LabeledSpan::underline(d.start..d.end.max(d.start + 1).min(wrong.text.len().max(d.start))));
        if let Some(help) = &d.help {
            shown = shown.with_help(help.clone());
        }
        let report = Report::new(shown).with_source_code(NamedSource::new(wrong.path.display().to_string(), wrong.text.clone()));
        // Writing to a String cannot fail.
        let _ = handler.render_report(&mut out, report.as_ref());
    }
    let n = wrong.diagnostics.len();
    let _ = writeln!(out, "error: {} {} in {}; nothing was done", n, if n == 1 { "mistake" } else { "mistakes" }, wrong.path.display());
    out
}
