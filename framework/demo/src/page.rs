//! The pages of the shop as text.

use std::fmt::Write as _;

use crate::item::{Dice, Item};

/// Renders pages. What is the same on all of them is rendered once, so that a page costs one
/// allocation and a copy of its bytes: the site must never be what a benchmark of a fetcher measures.
pub(crate) struct Pages {
    size: usize,
    reviews: Vec<String>,
}

const HEAD: &str = r#"<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="icon" href="data:,">
<title>"#;

const NAVIGATION: &str = r#" – Millbrook General Store</title>
</head>
<body>
<header class="site">
<a class="logo" href="/">Millbrook General Store</a>
<nav><ul class="menu">
<li><a href="/list/1">All items</a></li>
<li><a href="/list/2">More items</a></li>
<li><a href="/robots.txt">For robots</a></li>
</ul></nav>
<form class="search" action="/list/1"><input name="q" placeholder="Search &amp; find"><button>Go</button></form>
</header>
<main>
"#;

const FOOTER: &str = r#"</main>
<footer class="site"><p>Millbrook General Store, since 1794. All prices in florins. This shop does not exist.</p></footer>
</body>
</html>
"#;

const SENTENCES: [&str; 12] = [
    "It came well packed and a day earlier than promised.",
    "My neighbour has had one for years &amp; it still looks like new.",
    "The colour is a little darker than in the picture, which I do not mind.",
    "I would buy it again without thinking twice.",
    "For the price there is hardly anything better on the market.",
    "The handle could be longer, otherwise there is nothing to complain about.",
    "We use it every morning and it has not let us down yet.",
    "The instructions are clear, I was done in less than ten minutes.",
    "It is heavier than I had expected, so mind your toes.",
    "My first one arrived with a scratch; the shop sent another at once.",
    "I had doubts about the material, but they are gone by now.",
    "A present for my father, who shows it to everyone who drops in.",
];

const NAMES: [&str; 8] =
    ["Ada", "Bram", "Chiara", "Deniz", "Eilidh", "Farouk", "Gráinne", "Hjördís"];

impl Pages {
    /// Pages of about `size` bytes.
    pub(crate) fn new(size: usize) -> Self {
        Self { size, reviews: (0..64).map(review).collect() }
    }

    /// The page of an item.
    pub(crate) fn item(&self, item: &Item) -> String {
        let mut page = String::with_capacity(self.size + 1024);
        page.push_str(HEAD);
        page.push_str(&item.title);
        page.push_str(NAVIGATION);
        // Writing into a String does not fail.
        let _ = write!(
            page,
            r#"<article class="item" data-category="{category}" data-number="{number}">
<h1>{title}</h1>
<p class="crumbs"><a href="/">Home</a> › <span class="category">{category}</span></p>
<p class="offer"><span class="price">{whole}.{cents:02}</span> <span class="currency">fl.</span></p>
<p class="rating"><span class="value">{stars}.{tenths}</span> of 5</p>
<p class="stock" data-stock="{stock}">{stock} in stock</p>
<ul class="tags">"#,
            category = item.category,
            number = item.number,
            title = item.title,
            whole = item.cents / 100,
            cents = item.cents % 100,
            stars = item.rating / 10,
            tenths = item.rating % 10,
            stock = item.stock,
        );
        for tag in &item.tags {
            let _ = write!(page, "<li class=\"tag\">{tag}</li>");
        }
        page.push_str("</ul>\n<ul class=\"related\">\n");
        let mut dice = Dice(!item.number);
        for _ in 0..5 {
            let other = 1 + dice.below(Item::LAST);
            let _ = writeln!(page, "<li><a href=\"/item/{other}\">Item {other}</a></li>");
        }
        page.push_str("</ul>\n<section class=\"reviews\">\n<h2>Reviews</h2>\n");
        let first = dice.below(self.reviews.len() as u64) as usize;
        let mut reviews = self.reviews.iter().cycle().skip(first);
        while let Some(review) = reviews.next()
            && page.len() + review.len() + FOOTER.len() < self.size
        {
            page.push_str(review);
        }
        page.push_str("</section>\n</article>\n");
        page.push_str(FOOTER);
        page
    }

    /// A list of 20 items; lists are numbered from 1.
    pub(crate) fn list(&self, number: u64) -> String {
        let mut page = start(&format!("List {number}"));
        let first = (number - 1) * 20 + 1;
        page.push_str("<ol class=\"items\">\n");
        for n in first..first + 20 {
            let title = Item::new(n).title;
            let _ = writeln!(page, "<li><a class=\"item\" href=\"/item/{n}\">{title}</a></li>");
        }
        page.push_str("</ol>\n");
        if number < Item::LAST / 20 {
            let _ = writeln!(page, "<a rel=\"next\" href=\"/list/{}\">next</a>", number + 1);
        }
        page.push_str(FOOTER);
        page
    }
}

/// The item as JSON.
pub(crate) fn json(item: &Item) -> String {
    let tags = item.tags.iter().map(|tag| format!("\"{tag}\"")).collect::<Vec<_>>().join(",");
    format!(
        concat!(
            "{{\"number\":{},\"title\":\"{}\",\"category\":\"{}\",\"price\":{},",
            "\"rating\":{}.{},\"stock\":{},\"tags\":[{}]}}\n"
        ),
        item.number,
        item.title,
        item.category,
        item.price(),
        item.rating / 10,
        item.rating % 10,
        item.stock,
        tags
    )
}

/// The page that explains the site.
pub(crate) fn index() -> String {
    const PLACES: [(&str, &str); 17] = [
        ("/item/1", "a page of the shop; numbers from 0 to 1,000,000"),
        ("/item/1.json", "the same item as JSON"),
        ("/list/1", "20 links to items"),
        ("/status/418", "any status from 200 to 599"),
        ("/delay/250", "an answer after so many milliseconds"),
        ("/item/1?delay=250ms", "every address takes a delay"),
        ("/item/1?together=2", "waits until so many wait at once; &amp;door=name keeps them apart"),
        ("/flaky/1", "503 at first, then the item"),
        ("/retry-after/2", "429 with Retry-After, until that time is over"),
        ("/redirect/3", "so many redirects, then an item; /redirect/loop has no end"),
        ("/bytes/1000", "so many bytes, up to 1 GiB"),
        ("/charset/latin1", "also utf-8, utf-16le, utf-16be, meta, none, wrong"),
        ("/echo", "the request as JSON"),
        ("/robots.txt", "what robots may read"),
        ("/close", "closes in the middle of a body"),
        ("/hang", "never answers"),
        ("/gzip-bomb", "1 GiB of zeros in 1 MiB of gzip"),
    ];
    let mut page = start("Welcome");
    page.push_str("<h1>Millbrook General Store</h1>\n");
    page.push_str("<p>A shop that does not exist, to try pipelines on.</p>\n<table>\n");
    for (address, what) in PLACES {
        let _ =
            writeln!(page, "<tr><td><a href=\"{address}\">{address}</a></td><td>{what}</td></tr>");
    }
    page.push_str("</table>\n");
    page.push_str(FOOTER);
    page
}

/// A short page of one paragraph.
pub(crate) fn message(title: &str, text: &str) -> String {
    let mut page = start(title);
    let _ = writeln!(page, "<h1>{title}</h1>\n<p>{text}</p>");
    page.push_str(FOOTER);
    page
}

fn start(title: &str) -> String {
    format!("{HEAD}{title}{NAVIGATION}")
}

fn review(seed: u64) -> String {
    let mut dice = Dice(seed);
    let name = NAMES[dice.below(NAMES.len() as u64) as usize];
    let stars = 1 + dice.below(5);
    let mut text = format!(
        "<div class=\"review\" id=\"review-{seed}\">\n<h3>{name}</h3>\n\
         <p class=\"stars\" title=\"{stars} of 5\">{}</p>\n<p class=\"text\">",
        "★".repeat(stars as usize)
    );
    for _ in 0..3 + dice.below(5) {
        text.push_str(SENTENCES[dice.below(SENTENCES.len() as u64) as usize]);
        text.push(' ');
    }
    let helpful = dice.below(40);
    let _ = write!(text, "</p>\n<p class=\"helpful\">{helpful} found this helpful</p>\n</div>\n");
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_has_about_the_size_asked_for() {
        for size in [4096, 10 << 10, 64 << 10] {
            let pages = Pages::new(size);
            for n in [0, 1, 999, Item::LAST] {
                let len = pages.item(&Item::new(n)).len();
                assert!(len <= size && len + 1024 > size, "{len} for {size}");
            }
        }
        // What belongs to the item is there however small the page should be.
        assert!(Pages::new(0).item(&Item::new(1)).contains("</html>"));
    }

    #[test]
    fn a_page_shows_its_item() {
        let item = Item::new(42);
        let page = Pages::new(10 << 10).item(&item);
        assert!(page.contains(&format!("<h1>{}</h1>", item.title)));
        assert!(page.contains(&format!("<span class=\"price\">{}</span>", item.price())));
        assert!(page.contains(&format!("data-category=\"{}\"", item.category)));
        assert_eq!(page.matches("class=\"tag\"").count(), item.tags.len());
    }
}
