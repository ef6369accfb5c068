//! The `plugins:` of a pipeline: what is read of them, and what is said of those that are wrong.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "these are tests")]

mod kinds;

use gristmill_config::{PluginOrigin, Plugins, Source, Variables};
use gristmill_stage::Error;

const PIN: &str = "3B1F0F5E3D3C2B1A09F8E7D6C5B4A3928170605F4E3D2C1B0A0F1E2D3C4B5A69";

fn read(text: &str) -> Result<Plugins, String> {
    let variables = Variables::new().set("LIB", "build").set("API_TOKEN", "t0psecret");
    let plugins = Plugins::read(&Source::new("shop.yaml", text), &variables);
    plugins.map_err(|problems| problems.render(false))
}

fn wrong(name: &str, text: &str) {
    let rendered = read(text).expect_err(name);
    insta::with_settings!({ prepend_module_to_snapshot => false, omit_expression => true }, {
        insta::assert_snapshot!(name, rendered);
    });
}

#[test]
fn all_three_forms_are_read() {
    let plugins = read(&format!(
        "plugins:\n  - ./${{LIB}}/libmy_stage.so\n  - {{ path: libacme.so, sha256: {PIN}, namespace: acme }}\n  \
         - {{ command: [python3, -m, my_stage] }}\nstages: []\n"
    ))
    .unwrap();
    let [path, pinned, command] = &plugins.iter().collect::<Vec<_>>()[..] else { panic!() };
    let library = |path: &str, sha256: Option<String>| PluginOrigin::Library {
        path: path.to_owned(),
        sha256,
    };
    assert_eq!(path.origin, library("./build/libmy_stage.so", None));
    assert_eq!(path.namespace, None);
    assert_eq!(pinned.origin, library("libacme.so", Some(PIN.to_lowercase())));
    assert_eq!(pinned.namespace.as_deref(), Some("acme"));
    let argv = ["python3", "-m", "my_stage"].map(str::to_owned).to_vec();
    assert_eq!(command.origin, PluginOrigin::Command { argv });
}

#[test]
fn a_pipeline_without_plugins_has_none() {
    for text in ["stages: []\n", "plugins:\nstages: []\n", "plugins: []\n", "a: [\n", ""] {
        assert_eq!(read(text).unwrap().iter().count(), 0, "{text}");
    }
}

#[test]
fn paths_are_seen_from_the_folder_of_the_pipeline() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("shop.yaml");
    std::fs::write(&file, "plugins: [./a.so]\n").unwrap();
    let source = Source::read(&file.to_string_lossy()).unwrap();
    let plugins = Plugins::read(&source, &Variables::new()).unwrap();
    assert_eq!(plugins.folder(), folder.path());
    assert_eq!(read("plugins: [./a.so]\n").unwrap().folder().to_string_lossy(), ".");
}

#[test]
fn the_check_takes_the_section() {
    let text = "plugins: [./a.so]\nstages:\n  - { type: generate, with: { url: 'demo:/' } }\n  - type: discard\n";
    kinds::load_text(text).unwrap();
}

#[test]
fn wrong_plugins() {
    for (name, text) in [
        ("plugins_not_a_list", "plugins: ./a.so\n"),
        ("plugin_is_a_number", "plugins:\n  - 5\n"),
        ("plugin_word_unknown", "plugins:\n  - { path: a.so, sha265: abc }\n"),
        ("plugin_command_word_unknown", "plugins:\n  - { command: [jq], namspace: a }\n"),
        ("plugin_without_a_path", "plugins:\n  - { namespace: a }\n"),
        ("plugin_pin_too_short", "plugins:\n  - path: a.so\n    sha256: abc\n"),
        ("plugin_namespace_with_a_dot", "plugins:\n  - { path: a.so, namespace: a.b }\n"),
        ("plugin_command_empty", "plugins:\n  - { command: [] }\n"),
        ("plugin_variable_undefined", "plugins:\n  - ${LIBB}/a.so\n"),
    ] {
        wrong(name, text);
    }
}

#[test]
fn errors_of_the_caller_are_shown_at_the_word() {
    let text = "plugins:\n  - ./a.so\n  - path: ./${API_TOKEN}.so\n    sha256: 3b1f0f5e3d3c2b1a09f8e7d6c5b4a3928170605f4e3d2c1b0a0f1e2d3c4b5a69\n";
    let plugins = read(text).unwrap();
    let errors = [
        Error::option("path", "./a.so is not a library").help("build it first"),
        Error::option("sha256", "t0psecret has another SHA-256"),
    ];
    let rendered = plugins.problems(plugins.iter().zip(errors)).render(false);
    insta::with_settings!({ prepend_module_to_snapshot => false, omit_expression => true }, {
        insta::assert_snapshot!("plugin_errors_of_the_caller", rendered);
    });
}
