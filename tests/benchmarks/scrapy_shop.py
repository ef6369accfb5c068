"""The quickstart as a Scrapy spider: BASE PAGES CONCURRENCY."""

import statistics
import sys
from collections import defaultdict

import scrapy
from scrapy.crawler import CrawlerProcess

base, pages, concurrency = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
groups = defaultdict(list)


class Shop(scrapy.Spider):
    name = "shop"
    custom_settings = {
        "CONCURRENT_REQUESTS": concurrency,
        "CONCURRENT_REQUESTS_PER_DOMAIN": concurrency,
        "DOWNLOAD_DELAY": 0,
        "LOG_ENABLED": False,
        "ROBOTSTXT_OBEY": False,
        "TELNETCONSOLE_ENABLED": False,
    }

    async def start(self):
        for n in range(1, pages + 1):
            yield scrapy.Request(f"{base}/item/{n}", callback=self.parse)

    def start_requests(self):
        for n in range(1, pages + 1):
            yield scrapy.Request(f"{base}/item/{n}", callback=self.parse)

    def parse(self, response):
        response.css("h1::text").get()
        price = float(response.css(".price::text").get().strip())
        groups[response.css("[data-category]::attr(data-category)").get()].append(price)


process = CrawlerProcess()
process.crawl(Shop)
process.start()
assert sum(map(len, groups.values())) == pages, groups.keys()
for prices in groups.values():
    statistics.mean(prices), sorted(prices)[len(prices) * 95 // 100]
