//! What an unquoted scalar is: null, a boolean, a number or a text.

use serde_json::{Number, Value};

/// Resolves an unquoted scalar by the core schema of YAML 1.2, with two differences: a number with
/// leading zeros (`007`) stays a text, so that no digit of an article number is lost, and so do
/// infinity and not-a-number, which JSON has no word for.
pub(crate) fn resolve(text: &str) -> Value {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => Value::Null,
        "true" | "True" | "TRUE" => Value::Bool(true),
        "false" | "False" | "FALSE" => Value::Bool(false),
        _ => number(text).map_or_else(|| Value::String(text.to_owned()), Value::Number),
    }
}

fn number(text: &str) -> Option<Number> {
    let (negative, digits) = match text.as_bytes().first()? {
        b'-' => (true, text.get(1..)?),
        b'+' => (false, text.get(1..)?),
        _ => (false, text),
    };
    if !matches!(digits.as_bytes().first()?, b'0'..=b'9' | b'.') {
        return None;
    }
    let radix = match digits.get(..2) {
        Some("0o") => Some(8),
        Some("0x") => Some(16),
        _ => None,
    };
    if let Some(radix) = radix {
        let signed = digits.len() != text.len();
        let valid = !signed && digits.bytes().skip(2).all(|byte| byte.is_ascii_alphanumeric());
        let value = valid.then(|| u64::from_str_radix(digits.get(2..)?, radix).ok());
        return value.flatten().map(Number::from);
    }
    let mut bytes = digits.bytes();
    if bytes.next() == Some(b'0') && bytes.next().is_some_and(|byte| byte.is_ascii_digit()) {
        return None;
    }
    if digits.bytes().all(|byte| byte.is_ascii_digit()) {
        let whole = if negative {
            text.parse::<i64>().ok().map(Number::from)
        } else {
            digits.parse::<u64>().ok().map(Number::from)
        };
        // Beyond 64 bits it is a text: as a float it would lose digits.
        return whole;
    }
    float(digits).then(|| text.parse::<f64>().ok().and_then(Number::from_f64)).flatten()
}

/// Whether it has the shape `1.5`, `.5`, `1.`, `1e9`, `1.5E-3`.
fn float(digits: &str) -> bool {
    let (mantissa, exponent) = match digits.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (digits, None),
    };
    let all = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let (whole, part) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let exponent = exponent.is_none_or(|text| {
        let text = text.strip_prefix(['+', '-']).unwrap_or(text);
        !text.is_empty() && all(text)
    });
    (!whole.is_empty() || !part.is_empty()) && all(whole) && all(part) && exponent
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn plain_scalars_have_types() {
        for (text, value) in [
            ("", json!(null)),
            ("~", json!(null)),
            ("True", json!(true)),
            ("yes", json!("yes")),
            ("0", json!(0)),
            ("-12", json!(-12)),
            ("+12", json!(12)),
            ("18446744073709551615", json!(u64::MAX)),
            ("18446744073709551616", json!("18446744073709551616")),
            ("007", json!("007")),
            ("0x1F", json!(31)),
            ("0o17", json!(15)),
            ("0x", json!("0x")),
            ("0x+1", json!("0x+1")),
            ("-0x1", json!("-0x1")),
            ("1.5", json!(1.5)),
            (".5", json!(0.5)),
            ("1.", json!(1.0)),
            (".", json!(".")),
            ("-.5e3", json!(-500.0)),
            ("1e400", json!("1e400")),
            ("1e", json!("1e")),
            (".inf", json!(".inf")),
            ("1.2.3", json!("1.2.3")),
            ("10s", json!("10s")),
            ("2024-01-01", json!("2024-01-01")),
            ("-", json!("-")),
            ("1_000", json!("1_000")),
        ] {
            assert_eq!(resolve(text), value, "{text}");
        }
    }
}
