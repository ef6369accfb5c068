//! Where to send and how, by the command line and by the variables that all programs with OpenTelemetry
//! have in common.

use std::time::Duration;

use reqwest::Url;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};

use crate::resource::Resource;

/// Of all traces, so many are recorded when nobody says how many.
const SHARE: f64 = 0.01;
/// So often metrics are sent when nobody says how often.
const EVERY: Duration = Duration::from_secs(15);
/// A request may take so long when nobody says how long.
const TIMEOUT: Duration = Duration::from_secs(10);

/// What the command line says; it goes before the environment.
#[derive(Debug, Clone, Default)]
pub struct Chosen {
    /// The address of the collector, without `/v1/…`.
    pub url: Option<String>,
    /// Which share of all traces is recorded, from 0 to 1.
    pub share: Option<f64>,
}

/// Where to send and how.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where metrics and traces go; nowhere if there is no address.
    pub(crate) metrics: Option<Url>,
    pub(crate) traces: Option<Url>,
    /// Secrets.
    pub(crate) headers: HeaderMap,
    pub(crate) share: f64,
    pub(crate) every: Duration,
    pub(crate) timeout: Duration,
    pub(crate) resource: Resource,
}

impl Settings {
    /// What was chosen, and what the variables of the environment say. `None` when neither names an
    /// address: nothing is to be sent.
    ///
    /// # Errors
    /// What cannot be used, under its name, and what would be right. No header and no password is in it.
    pub fn find(
        chosen: &Chosen,
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<Option<Self>, String> {
        // An empty variable is none.
        let variable = |name: &str| variable(name).filter(|value| !value.trim().is_empty());
        let off = |name: &str, word: &str| variable(name).is_some_and(|value| value.trim() == word);
        let base = match &chosen.url {
            Some(text) => Some(address("--otlp", text)?),
            None if off("OTEL_SDK_DISABLED", "true") => return Ok(None),
            None => read(&variable, "OTEL_EXPORTER_OTLP_ENDPOINT", address)?,
        };
        let of = |signal: &str, name: &str| {
            if chosen.url.is_none() && off(&format!("OTEL_{name}_EXPORTER"), "none") {
                return Ok(None);
            }
            let own = match chosen.url {
                Some(_) => None,
                None => read(&variable, &format!("OTEL_EXPORTER_OTLP_{name}_ENDPOINT"), address)?,
            };
            Ok::<_, String>(own.or_else(|| base.as_ref().map(|base| below(base, signal))))
        };
        let (metrics, traces) = (of("metrics", "METRICS")?, of("traces", "TRACES")?);
        if metrics.is_none() && traces.is_none() {
            return Ok(None);
        }
        read(&variable, "OTEL_EXPORTER_OTLP_PROTOCOL", protocol)?;
        let name = variable("OTEL_SERVICE_NAME");
        let attributes = read(&variable, "OTEL_RESOURCE_ATTRIBUTES", pairs)?.unwrap_or_default();
        let millis = |name: &str| read(&variable, name, millis);
        Ok(Some(Self {
            metrics,
            traces,
            headers: read(&variable, "OTEL_EXPORTER_OTLP_HEADERS", headers)?.unwrap_or_default(),
            share: share(chosen, &variable)?,
            every: millis("OTEL_METRIC_EXPORT_INTERVAL")?.unwrap_or(EVERY),
            timeout: millis("OTEL_EXPORTER_OTLP_TIMEOUT")?.unwrap_or(TIMEOUT),
            resource: Resource::new(name, attributes),
        }))
    }
}

/// What a variable says, if it is set.
fn read<T>(
    variable: &impl Fn(&str) -> Option<String>,
    name: &str,
    parse: impl Fn(&str, &str) -> Result<T, String>,
) -> Result<Option<T>, String> {
    variable(name).map(|text| parse(name, text.trim())).transpose()
}

fn share(chosen: &Chosen, variable: &impl Fn(&str) -> Option<String>) -> Result<f64, String> {
    if let Some(share) = chosen.share {
        return Ok(share);
    }
    let name = "OTEL_TRACES_SAMPLER";
    let by_ratio = read(variable, "OTEL_TRACES_SAMPLER_ARG", |name, text| {
        let share = text.parse::<f64>().ok().filter(|share| (0.0..=1.0).contains(share));
        share.ok_or_else(|| format!("{name}: `{text}` is no share; write a number from 0 to 1"))
    });
    // A source has no trace around it, so whether the sampler asks a parent first is all one.
    match variable(name).as_deref().map(str::trim) {
        Some("always_on" | "parentbased_always_on") => Ok(1.0),
        Some("always_off" | "parentbased_always_off") => Ok(0.0),
        None | Some("traceidratio" | "parentbased_traceidratio") => Ok(by_ratio?.unwrap_or(SHARE)),
        Some(other) => Err(format!(
            "{name}: there is no `{other}` here; there are always_on, always_off and traceidratio"
        )),
    }
}

fn address(name: &str, text: &str) -> Result<Url, String> {
    // The text may have a password in it, so no message has the text.
    let right = "write it as http://HOST:4318 or https://HOST";
    let url = Url::parse(text).map_err(|e| format!("{name}: this is no address ({e}); {right}"))?;
    if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
        return Err(format!("{name}: nothing can be sent to `{}:`; {right}", url.scheme()));
    }
    Ok(url)
}

/// The address of a signal below that of the collector.
fn below(base: &Url, signal: &str) -> Url {
    let mut url = base.clone();
    url.set_path(&format!("{}/v1/{signal}", base.path().trim_end_matches('/')));
    url
}

fn protocol(name: &str, text: &str) -> Result<(), String> {
    match text {
        "http/protobuf" => Ok(()),
        other => Err(format!(
            "{name}: `{other}` is not spoken here; write http/protobuf, which collectors take on port 4318"
        )),
    }
}

fn millis(name: &str, text: &str) -> Result<Duration, String> {
    let millis = text.parse().ok().filter(|millis| *millis > 0).map(Duration::from_millis);
    millis.ok_or_else(|| format!("{name}: `{text}` is no time; write milliseconds, such as 10000"))
}

/// `KEY=VALUE,KEY=VALUE`, with values as in addresses: `%20` is a blank.
fn pairs(name: &str, text: &str) -> Result<Vec<(String, String)>, String> {
    let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
    let pair = |part: &str| {
        let (key, value) = part.split_once('=')?;
        let (key, value) = (key.trim(), decoded(value.trim())?);
        (!key.is_empty()).then(|| (key.to_owned(), value))
    };
    // The parts may be secrets.
    let wrong = || format!("{name}: write it as KEY=VALUE,KEY=VALUE; in values, `%2C` is a comma");
    parts.map(|part| pair(part).ok_or_else(wrong)).collect()
}

fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, more)) = rest.split_first() {
        rest = more;
        let byte = match first {
            b'%' => {
                let (digits, more) = rest.split_at_checked(2)?;
                rest = more;
                u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?
            }
            byte => byte,
        };
        bytes.push(byte);
    }
    String::from_utf8(bytes).ok()
}

fn headers(name: &str, text: &str) -> Result<HeaderMap, String> {
    let mut headers = HeaderMap::new();
    for (key, value) in pairs(name, text)? {
        let header = HeaderName::from_bytes(key.to_ascii_lowercase().as_bytes()).ok();
        let value = HeaderValue::from_str(&value).ok();
        let wrong = || format!("{name}: one of the headers has signs that no header can have");
        let (header, mut value) = header.zip(value).ok_or_else(wrong)?;
        value.set_sensitive(true);
        headers.insert(header, value);
    }
    Ok(headers)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find(url: Option<&str>, variables: &[(&str, &str)]) -> Result<Option<Settings>, String> {
        let chosen = Chosen { url: url.map(str::to_owned), share: None };
        let value = |name: &str| {
            variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        };
        Settings::find(&chosen, value)
    }

    fn addresses(settings: &Settings) -> [Option<&str>; 2] {
        [&settings.metrics, &settings.traces].map(|url| url.as_ref().map(Url::as_str))
    }

    #[test]
    fn the_command_line_goes_before_the_environment() {
        assert!(find(None, &[]).unwrap().is_none());
        let environment = [("OTEL_EXPORTER_OTLP_ENDPOINT", "https://b/otlp/")];
        let settings = find(None, &environment).unwrap().unwrap();
        let both = ["https://b/otlp/v1/metrics", "https://b/otlp/v1/traces"].map(Some);
        assert_eq!(addresses(&settings), both);
        assert_eq!(settings.share, 0.01);
        let settings = find(Some("http://a:4318"), &environment).unwrap().unwrap();
        assert_eq!(addresses(&settings)[1], Some("http://a:4318/v1/traces"));
    }

    #[test]
    fn a_signal_may_have_an_address_of_its_own_or_none() {
        let mut environment = vec![("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://tempo/in")];
        let settings = find(None, &environment).unwrap().unwrap();
        assert_eq!(addresses(&settings), [None, Some("http://tempo/in")]);
        environment.push(("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c"));
        environment.push(("OTEL_METRICS_EXPORTER", "none"));
        let settings = find(None, &environment).unwrap().unwrap();
        assert_eq!(addresses(&settings), [None, Some("http://tempo/in")]);
        environment.push(("OTEL_SDK_DISABLED", "true"));
        assert!(find(None, &environment).unwrap().is_none());
    }

    #[test]
    fn samplers_have_a_share() {
        let share = |sampler: &str, argument: &str| {
            let variables =
                [("OTEL_TRACES_SAMPLER", sampler), ("OTEL_TRACES_SAMPLER_ARG", argument)];
            find(Some("http://a"), &variables).map(|settings| settings.unwrap().share)
        };
        assert_eq!(share("", "0.5"), Ok(0.5));
        assert_eq!(share("parentbased_traceidratio", "1"), Ok(1.0));
        assert_eq!(share("always_on", ""), Ok(1.0));
        assert_eq!(share("always_off", "1"), Ok(0.0));
        assert!(share("jaeger_remote", "").unwrap_err().contains("always_on"));
        for wrong in ["2", "-1", "NaN", "many"] {
            assert!(share("", wrong).unwrap_err().contains("from 0 to 1"), "{wrong}");
        }
    }

    #[test]
    fn headers_are_decoded_and_stand_in_no_message() {
        let name = "OTEL_EXPORTER_OTLP_HEADERS";
        let settings = find(Some("http://a"), &[(name, "Authorization=Basic%20hunter2, x=1")]);
        let settings = settings.unwrap().unwrap();
        assert_eq!(settings.headers["authorization"], "Basic hunter2");
        assert_eq!(settings.headers["x"], "1");
        assert!(!format!("{settings:?}").contains("hunter2"));
        for wrong in
            ["hunter2", "=hunter2", "a b=hunter2", "a=hunter2%0A", "a=hunter2%", "a=hunter2%zz"]
        {
            let error = find(Some("http://a"), &[(name, wrong)]).unwrap_err();
            assert!(error.starts_with(name) && !error.contains("hunter2"), "{wrong}: {error}");
        }
    }

    #[test]
    fn what_cannot_be_used_is_said_with_what_can() {
        for (url, says) in [
            ("collector:4318", "http://HOST:4318"),
            ("http//x", "http://HOST:4318"),
            ("file:///hunter2", "nothing can be sent to `file:`"),
            ("https://hunter2:hunter2@:x", "http://HOST:4318"),
        ] {
            let error = find(Some(url), &[]).unwrap_err();
            assert!(error.starts_with("--otlp: ") && error.contains(says), "{url}: {error}");
            assert!(!error.contains("hunter2"), "{error}");
        }
        let grpc = [("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")];
        assert!(find(Some("http://a"), &grpc).unwrap_err().contains("http/protobuf"));
        let timeout = [("OTEL_EXPORTER_OTLP_TIMEOUT", "10s")];
        assert!(find(Some("http://a"), &timeout).unwrap_err().contains("milliseconds"));
    }
}
