//! Settings from a file, the environment and the command line, in rising order.
//!
//! A command's settings are one struct of `Option` fields that is clap's `Args` and serde's at once: flags
//! and environment fill it by clap, the file by serde, defaults by the program; [`over`] lays them over one
//! another.

use std::path::Path;

use anyhow::{Context as _, anyhow, bail};
use serde::{Serialize, de::DeserializeOwned};
use weir_contract::text::nearest;

/// The settings of `first`, and those of `second` where it says nothing: where its field is `None`.
///
/// # Errors
///
/// Settings that serde can't write and read again, which a program's own tests show.
pub fn over<T: Serialize + DeserializeOwned>(first: &T, second: &T) -> anyhow::Result<T> {
    let mut settings = toml::Table::try_from(second)?;
    lay(&mut settings, toml::Table::try_from(first)?);
    Ok(settings.try_into()?)
}

fn lay(settings: &mut toml::Table, first: toml::Table) {
    for (key, value) in first {
        match (settings.get_mut(&key), value) {
            (Some(toml::Value::Table(under)), toml::Value::Table(first)) => lay(under, first),
            (_, value) => {
                settings.insert(key, value);
            }
        }
    }
}

/// Checks numbers that are set against the least and the most they may be.
///
/// # Errors
///
/// Names the first that is out of its range, and the range.
pub fn check_ranges(numbers: &[(&str, Option<u32>, u32, u32)]) -> anyhow::Result<()> {
    for &(name, number, least, most) in numbers {
        if let Some(number) = number.filter(|number| !(least..=most).contains(number)) {
            bail!("{name} is {number}, but may be {least} to {most}");
        }
    }
    Ok(())
}

/// Reads a configuration file.
///
/// # Errors
///
/// A file that can't be read, is no TOML, or has a key that does not exist: the nearest one is named.
pub fn read<F: DeserializeOwned>(path: &Path) -> anyhow::Result<F> {
    let text = std::fs::read_to_string(path)
        .with_context(|| format!("{}: the configuration file can't be read", path.display()))?;
    parse(&text).map_err(|(line, column, what)| anyhow!("{}:{line}:{column}: {what}", path.display()))
}

/// What the text of a configuration file says.
///
/// # Errors
///
/// Line and column, from 1, and what is wrong there.
pub fn parse<F: DeserializeOwned>(text: &str) -> Result<F, (usize, usize, String)> {
    toml::from_str(text).map_err(|error| {
        let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
        let line = 1 + before.matches('\n').count();
        let column = 1 + before.rsplit('\n').next().unwrap_or_default().chars().count();
        let what = match unknown_key(error.message()) {
            Some((key, known)) => match nearest(&key, known) {
                Some(nearest) => format!("there is no `{key}`; did you mean `{nearest}`?"),
                None => format!("there is no `{key}`"),
            },
            None => error.message().trim_end().replace('\n', ", "),
        };
        (line, column, what)
    })
}

/// The key that serde did not know, and those it does.
fn unknown_key(message: &str) -> Option<(String, Vec<String>)> {
    let mut quoted = message.strip_prefix("unknown field ")?.split('`').skip(1).step_by(2).map(str::to_owned);
    Some((quoted.next()?, quoted.collect()))
}

/// Refuses variables of the environment that look like ours and are not. `known` are those of a program's
/// command line; the variables that hold secrets are known anyway.
///
/// # Errors
///
/// Names the variable, and the nearest one that exists.
pub fn check_environment<'a>(known: impl IntoIterator<Item = &'a str>) -> anyhow::Result<()> {
    let ours = [crate::kafka::PASSWORD_VARIABLE, crate::logs::FILTER_VARIABLE];
    let known: Vec<_> = known.into_iter().chain(ours).map(str::to_owned).collect();
    for (name, _) in std::env::vars_os() {
        let Some(name) = name.to_str().filter(|name| name.starts_with("WEIR_")) else { continue };
        if !known.iter().any(|of| of == name) {
            let nearest = nearest(name, known).unwrap_or_default();
            bail!("the environment has {name}, which is no setting; did you mean {nearest}?");
        }
    }
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use serde::Deserialize;

    #[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
    #[serde(rename_all = "kebab-case", deny_unknown_fields)]
    struct Part {
        sensor: Option<String>,
        workers: Option<u32>,
        #[serde(default)]
        inner: Inner,
    }

    #[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
    #[serde(rename_all = "kebab-case", deny_unknown_fields)]
    struct Inner {
        merge: Option<bool>,
    }

    #[test]
    fn what_is_said_first_counts() {
        let flags = Part { sensor: Some("a".into()), ..Part::default() };
        let file = Part { sensor: Some("b".into()), workers: Some(3), inner: Inner { merge: Some(true) } };
        let expected = Part { sensor: Some("a".into()), workers: Some(3), inner: Inner { merge: Some(true) } };
        assert_eq!(over(&flags, &file).unwrap(), expected);
    }

    #[test]
    fn keys_that_do_not_exist_are_refused_with_the_nearest_name() {
        let (line, column, what) = parse::<Part>("sensor = \"a\"\n  wrokers = 4\n").unwrap_err();
        assert_eq!((line, column), (2, 3));
        assert_eq!(what, "there is no `wrokers`; did you mean `workers`?");
    }

    #[test]
    fn values_that_cannot_be_are_refused_with_their_place() {
        let (line, column, what) = parse::<Part>("workers = \"two\"\n").unwrap_err();
        assert_eq!((line, column), (1, 11));
        assert!(what.contains("expected u32"), "{what}");
    }
}
