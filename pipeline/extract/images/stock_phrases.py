"""What alt texts say when nobody wrote one: of what kind the thing is, what a click does, that something is missing."""

# in lower case, words alone: no sign, no digit, no article before them
STOCK_PHRASES = frozenset({
    "ad", "advertisement", "alt", "alt image", "alt tag", "alt text", "arrow", "article image", "author image",
    "avatar", "background", "background image", "banner", "banner image", "blank", "blog image", "caption",
    "click for larger image", "click here", "click image to enlarge", "click to enlarge", "click to expand",
    "click to view larger image", "click to zoom", "close", "company logo", "cover", "cover image", "default",
    "default image", "enlarge", "enlarge image", "enlarge this image", "facebook", "featured image", "gallery",
    "gallery image", "header", "header image", "hero", "hero image", "icon", "image", "image alt", "image alt text",
    "image description", "image loading", "image not available", "image not found", "image of", "image placeholder",
    "image title", "images", "img", "instagram", "lead image", "linkedin", "loading", "loading image", "logo",
    "main image", "menu", "missing image", "n a", "next", "no alt text", "no alt text provided", "no image",
    "no image available", "no photo", "no photo available", "none", "null", "opens in new window", "photo",
    "photo of", "photograph", "photos", "pic", "picture", "picture of", "pictures", "pinterest", "placeholder",
    "placeholder image", "play", "play button", "play video", "post image", "preview", "preview image", "previous",
    "product image", "profile image", "profile photo", "profile picture", "search", "share", "site logo", "slide",
    "slider", "slideshow", "spacer", "stock image", "stock photo", "thumb", "thumbnail", "thumbnail image", "twitter",
    "undefined", "untitled", "user avatar", "user image", "video thumbnail", "view full size", "view larger",
    "view larger image", "website logo", "youtube", "zoom",
})  # fmt: skip
