//! Progress on standard error: bars where there is a terminal, plain lines elsewhere.

use std::{
    collections::BTreeMap,
    fmt,
    io::Write as _,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::text;
use crate::progress::{Event, Reporter};

/// Bars with bytes, rate and time left.
pub(super) struct Bars {
    all: MultiProgress,
    tasks: Mutex<BTreeMap<String, ProgressBar>>,
    color: bool,
}

impl fmt::Debug for Bars {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bars").finish_non_exhaustive()
    }
}

impl Bars {
    pub(super) fn new(color: bool) -> Self {
        Self { all: MultiProgress::with_draw_target(ProgressDrawTarget::stderr()), tasks: Mutex::default(), color }
    }

    fn say(&self, line: &str) {
        // A terminal that has gone away is nobody to tell.
        let _ = self.all.println(line);
    }

    fn bar(total: Option<u64>, task: &str) -> ProgressBar {
        let template = match total {
            Some(_) => "  {prefix:<24!} {wide_bar} {decimal_bytes}/{decimal_total_bytes} {decimal_bytes_per_sec} {eta} left",
            None => "  {prefix:<24!} {spinner} {decimal_bytes} {decimal_bytes_per_sec}",
        };
        let bar = total.map_or_else(ProgressBar::new_spinner, ProgressBar::new);
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style.progress_chars("━╸─"));
        }
        bar.with_prefix(task.to_owned())
    }
}

impl Reporter for Bars {
    fn event(&self, event: Event) {
        let mut tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        match event {
            Event::Step { title } => self.say(&if self.color { format!("\x1b[1m{title}\x1b[0m") } else { title }),
            Event::Started { task, total } => {
                let bar = self.all.add(Self::bar(total, &task));
                bar.enable_steady_tick(Duration::from_millis(200));
                tasks.insert(task, bar);
            }
            Event::Advanced { task, done } => {
                if let Some(bar) = tasks.get(&task) {
                    bar.set_position(done);
                }
            }
            Event::Finished { task, note } => {
                if let Some(bar) = tasks.remove(&task) {
                    bar.finish_and_clear();
                    self.all.remove(&bar);
                }
                self.say(&format!("  {task}: {note}"));
            }
            Event::Note(line) => self.say(&format!("  {line}")),
            Event::Warning(line) => self.say(&if self.color { format!("\x1b[33mwarning:\x1b[0m {line}") } else { format!("warning: {line}") }),
        }
    }
}

/// Plain lines; a task that runs long says so every few seconds.
#[derive(Debug, Default)]
pub(super) struct Lines {
    tasks: Mutex<BTreeMap<String, Running>>,
}

#[derive(Debug)]
struct Running {
    total: Option<u64>,
    started: Instant,
    said: Instant,
}

const LINE_EVERY: Duration = Duration::from_secs(5);

fn say(line: &str) {
    // Where standard error is gone, nobody can be told.
    let _ = writeln!(std::io::stderr().lock(), "{line}");
}

impl Reporter for Lines {
    fn event(&self, event: Event) {
        let mut tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        match event {
            Event::Step { title } => say(&title),
            Event::Started { task, total } => {
                tasks.insert(task, Running { total, started: now, said: now });
            }
            Event::Advanced { task, done } => {
                if let Some(running) = tasks.get_mut(&task)
                    && now.duration_since(running.said) >= LINE_EVERY
                {
                    running.said = now;
                    say(&format!("  {task}: {}", running.line(done, now)));
                }
            }
            Event::Finished { task, note } => {
                tasks.remove(&task);
                say(&format!("  {task}: {note}"));
            }
            Event::Note(line) => say(&format!("  {line}")),
            Event::Warning(line) => say(&format!("warning: {line}")),
        }
    }
}

impl Running {
    fn line(&self, done: u64, now: Instant) -> String {
        let seconds = now.duration_since(self.started).as_secs_f64().max(0.001);
        #[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a rate for people")]
        let rate = (done as f64 / seconds) as u64;
        let mut line = text::bytes(done);
        if let Some(total) = self.total {
            line = format!("{line} of {}", text::bytes(total));
        }
        line = format!("{line}, {}/s", text::bytes(rate));
        match self.total {
            Some(total) if rate > 0 && total > done => format!("{line}, {} left", text::duration(Duration::from_secs((total - done) / rate))),
            _ => line,
        }
    }
}
