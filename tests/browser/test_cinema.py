"""The tests' own eyes: what they would not see, they could not forbid."""

import asyncio
import re

from cinema import Cinema

KINDS = ("CSP: script-src", "CSP: connect-src", "asked another machine: .*pixel.png", "uncaught: .*nobody catches this")


async def test_every_kind_of_fault_on_a_page_is_noticed(cinema: Cinema) -> None:
    page = await cinema.phone("/discover")
    assert not cinema.unexpected()
    await page.evaluate("""() => {
      document.body.append(Object.assign(document.createElement('script'), { textContent: 'window.hurt = 1' }))
      fetch('https://elsewhere.example/').catch(() => undefined)
      document.body.append(Object.assign(new Image(), { src: 'https://elsewhere.example/pixel.png' }))
      setTimeout(() => { throw new Error('nobody catches this') })
    }""")
    async with asyncio.timeout(45):
        while not all(any(re.search(kind, fault) for fault in cinema.unexpected()) for kind in KINDS):
            await asyncio.sleep(0.1)
    assert await page.evaluate("window.hurt") is None
    await page.close()
    cinema.faults.clear()
