//! Numbers as C reads them and as cJSON writes them. Scripts rely on both.

/// Reads as many digits as there are, behind blanks and a sign, and nothing of the rest (`atoi`). No digits are zero.
pub(crate) fn leading_integer(text: &[u8]) -> i64 {
    let (is_negative, digits) = sign_and_rest(text.trim_ascii_start());
    let digits = digits.iter().take_while(|byte| byte.is_ascii_digit());
    let magnitude =
        digits.fold(0_i64, |value, digit| value.saturating_mul(10).saturating_add(i64::from(digit - b'0')));
    if is_negative { -magnitude } else { magnitude }
}

/// Reads the whole text as an integer, in base 16 after `0x` and in base 8 after `0` (`strtol` with base 0).
pub(crate) fn whole_integer(text: &[u8]) -> Option<i64> {
    let (is_negative, digits) = sign_and_rest(text.trim_ascii_start());
    let digits = std::str::from_utf8(digits).ok()?;
    let lower = digits.to_ascii_lowercase();
    let (digits, base) = match (lower.strip_prefix("0x"), lower.strip_prefix('0')) {
        (Some(hex), _) => (hex, 16),
        (None, Some(octal)) if !octal.is_empty() => (octal, 8),
        _ => (&*lower, 10),
    };
    if digits.starts_with(['+', '-']) {
        return None;
    }
    let magnitude = i64::from_str_radix(digits, base).ok()?;
    Some(if is_negative { -magnitude } else { magnitude })
}

/// Reads the longest beginning that is a decimal number, and nothing of the rest (`atof`). None is zero.
pub(crate) fn leading_decimal(text: &[u8]) -> f64 {
    let text = text.trim_ascii_start();
    let length = text.iter().take_while(|byte| byte.is_ascii_digit() || b"+-.eE".contains(byte)).count();
    let beginnings = (1..=length).rev().filter_map(|end| std::str::from_utf8(&text[..end]).ok());
    beginnings.filter_map(|text| text.parse().ok()).next().unwrap_or(0.0)
}

/// Writes a number as cJSON does: as an integer where it is one, with 15 digits where those say all, else with 17.
pub(crate) fn json_number(value: f64) -> String {
    if !value.is_finite() {
        return "null".to_owned();
    }
    let short = general(value, 15);
    if short.parse() == Ok(value) { short } else { general(value, 17) }
}

/// The shortest of fixed and exponential notation with so many significant digits (`%.*g`).
fn general(value: f64, digits: usize) -> String {
    let exponential = format!("{:.*e}", digits - 1, value);
    let Some((mantissa, exponent)) = exponential.split_once('e') else { return exponential };
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if exponent < -4 || exponent >= digits as i32 {
        let sign = if exponent < 0 { '-' } else { '+' };
        return format!("{}e{sign}{:02}", without_zeros(mantissa), exponent.abs());
    }
    let decimals = usize::try_from(digits as i32 - 1 - exponent).unwrap_or(0);
    without_zeros(&format!("{value:.decimals$}")).to_owned()
}

fn without_zeros(number: &str) -> &str {
    match number.contains('.') {
        true => number.trim_end_matches('0').trim_end_matches('.'),
        false => number,
    }
}

fn sign_and_rest(text: &[u8]) -> (bool, &[u8]) {
    match text {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        rest => (false, rest),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_are_read_as_far_as_they_go() {
        let cases = [
            ("12", 12),
            (" -7x", -7),
            ("x", 0),
            ("", 0),
            ("+3", 3),
            ("1e3", 1),
            ("99999999999999999999", i64::MAX),
        ];
        for (text, value) in cases {
            assert_eq!(leading_integer(text.as_bytes()), value, "{text}");
        }
    }

    #[test]
    fn whole_integers_have_bases() {
        let cases =
            [("16", Some(16)), ("0x10", Some(16)), ("010", Some(8)), ("0", Some(0)), ("-1", Some(-1))];
        for (text, value) in
            cases.into_iter().chain([("5z", None), ("", None), ("-", None), ("--1", None), ("08", None)])
        {
            assert_eq!(whole_integer(text.as_bytes()), value, "{text}");
        }
    }

    #[test]
    fn decimals_are_read_as_far_as_they_go() {
        for (text, value) in [("1.5s", 1.5), (".25", 0.25), ("x", 0.0), ("-2", -2.0), ("1e1e", 10.0)] {
            assert!((leading_decimal(text.as_bytes()) - value).abs() < f64::EPSILON, "{text}");
        }
    }

    #[test]
    fn numbers_are_written_as_cjson_writes_them() {
        let cases = [
            (1.5, "1.5"),
            (100.0, "100"),
            (-0.25, "-0.25"),
            (0.1 + 0.2, "0.30000000000000004"),
            (1e20, "1e+20"),
            (1.5e-7, "1.5e-07"),
            (0.0001, "0.0001"),
            (123_456_789_012_345_680.0, "1.2345678901234568e+17"),
            (f64::NAN, "null"),
        ];
        for (value, text) in cases {
            assert_eq!(json_number(value), text);
        }
    }
}
