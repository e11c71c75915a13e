//! The order of keys: go-yaml's `keyList.Less` (sorter.go), which sorts `a9` before `a10`.

use std::cmp::Ordering;

/// Compares two keys. `v3` is the rule of go-yaml v3, where a letter sorts before another sign if digits came before.
pub(super) fn compare(left: &str, right: &str, v3: bool) -> Ordering {
    let a: Vec<char> = left.chars().collect();
    let b: Vec<char> = right.chars().collect();
    let mut digits = false;
    for at in 0..a.len().min(b.len()) {
        let (x, y) = (a[at], b[at]);
        if x == y {
            digits = x.is_numeric();
            continue;
        }
        let (x_letter, y_letter) = (x.is_alphabetic(), y.is_alphabetic());
        if x_letter && y_letter {
            return x.cmp(&y);
        }
        if x_letter || y_letter {
            let less = if v3 && digits { x_letter } else { y_letter };
            return if less { Ordering::Less } else { Ordering::Greater };
        }
        // Leading zeros only count as such if no other digit stands before them.
        let start = i64::from((x == '0' || y == '0') && a[..at].iter().rev().take_while(|digit| digit.is_numeric()).any(|digit| *digit != '0'));
        let (x_number, x_end) = run(&a, at, start);
        let (y_number, y_end) = run(&b, at, start);
        return x_number.cmp(&y_number).then(x_end.cmp(&y_end)).then(x.cmp(&y));
    }
    a.len().cmp(&b.len())
}

fn run(text: &[char], at: usize, start: i64) -> (i64, usize) {
    let mut number = start;
    let mut end = at;
    while let Some(digit) = text.get(end).and_then(|digit| digit.to_digit(10)) {
        number = number.wrapping_mul(10).wrapping_add(i64::from(digit));
        end += 1;
    }
    (number, end)
}
