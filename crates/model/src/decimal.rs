//! Numbers as text where the formatter costs too much: for each message, or each field of a header.

/// Hands over a number's digits.
pub fn decimal<T>(mut number: u64, take: impl FnOnce(&str) -> T) -> T {
    let mut digits = [b'0'; 20];
    let mut start = digits.len();
    for digit in digits.iter_mut().rev() {
        *digit = b'0' + u8::try_from(number % 10).unwrap_or_default();
        number /= 10;
        start -= 1;
        if number == 0 {
            break;
        }
    }
    let text = digits.get(start..).and_then(|digits| std::str::from_utf8(digits).ok());
    take(text.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_are_those_of_the_formatter() {
        for number in [0, 7, 10, 99, 100, 4_294_967_295, u64::MAX] {
            assert_eq!(decimal(number, str::to_owned), number.to_string());
        }
    }
}
