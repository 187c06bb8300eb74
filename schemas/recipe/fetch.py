"""How images are asked for, and what a site may forbid."""

from pydantic import Field

from schemas.overrides import Section
from schemas.recipe.values import DIRECTIVES, Directive


class Fetch(Section):
    user_agent: str = Field(
        "weft", pattern=r"^[A-Za-z][A-Za-z0-9_-]*$", description="the name that robots.txt and directives know us by"
    )
    contact: str | None = Field(
        None,
        pattern=r"^(https?://|mailto:)[!-~]+$",
        description="where a site's owner learns about the run, https://... or mailto:...; sent with every request; "
        "without it only loopback addresses are asked",
    )
    robots_txt: bool = Field(True, description="whether robots.txt is asked for and honoured")
    directives: tuple[Directive, ...] = Field(
        DIRECTIVES, description="directives, in an answer's headers or a site's tdmrep.json, that refuse an image"
    )
    cache: str | None = Field(
        None,
        min_length=1,
        description="folder for robots.txt and tdmrep.json, any address; null keeps them in OUT/sites",
    )
    cache_hours: float = Field(24, ge=0, description="how long those count; RFC 9309 says a day at most")
    host_connections: int = Field(4, gt=0, description="most connections to one host at a time, over all tasks")
    host_requests_per_second: float | None = Field(
        10, gt=0, description="most requests to one host in a second, over all tasks; null is no bound"
    )
    max_crawl_delay_seconds: float = Field(
        60, ge=0, description="a longer Crawl-delay in robots.txt counts as a refusal"
    )
    retries: int = Field(2, ge=0, description="further tries after 429, 503 and time-outs; other failures are final")
    backoff_seconds: float = Field(1, gt=0, description="wait before the first further try; each one doubles it")
    max_wait_seconds: float = Field(60, gt=0, description="longest wait; a longer Retry-After ends the tries")
    connect_seconds: float = Field(10, gt=0, description="longest wait for a connection, encryption included")
    read_seconds: float = Field(10, gt=0, description="longest wait for the next bytes of an answer")
    total_seconds: float = Field(30, gt=0, description="longest time of one request, from first to last")
    max_redirects: int = Field(5, ge=0, description="most redirects on the way to an image")
    allow_hosts: tuple[str, ...] = Field(
        (), description="host names that may lead to private, loopback and other addresses that are else off limits"
    )
    proxy: str | None = Field(
        None,
        pattern=r"^http://[^/\s]+$",
        description="forward proxy, http://HOST:PORT; addresses with https are asked of it as http",
    )
    threads: int = Field(32, gt=0, description="requests under way in one task")
    shard_images: int = Field(
        1000, gt=0, description="answers of one commit: what a killed task asks again at most, but for those under way"
    )

    @property
    def host_interval_seconds(self) -> float:
        """Least time between the starts of two requests to one host."""
        return 1 / self.host_requests_per_second if self.host_requests_per_second else 0.0
