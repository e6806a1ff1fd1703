#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/ascii.h"
#include "scoring/message/html_style.h"

/* CSS Color Module Level 3, 4.3; sorted */
static const struct color {
	const char *name;
	unsigned rgb;
} colors[] = {
	{ "aliceblue", 0xf0f8ff }, { "antiquewhite", 0xfaebd7 },
	{ "aqua", 0x00ffff }, { "aquamarine", 0x7fffd4 }, { "azure", 0xf0ffff },
	{ "beige", 0xf5f5dc }, { "bisque", 0xffe4c4 }, { "black", 0x000000 },
	{ "blanchedalmond", 0xffebcd }, { "blue", 0x0000ff },
	{ "blueviolet", 0x8a2be2 }, { "brown", 0xa52a2a },
	{ "burlywood", 0xdeb887 }, { "cadetblue", 0x5f9ea0 },
	{ "chartreuse", 0x7fff00 }, { "chocolate", 0xd2691e },
	{ "coral", 0xff7f50 }, { "cornflowerblue", 0x6495ed },
	{ "cornsilk", 0xfff8dc }, { "crimson", 0xdc143c }, { "cyan", 0x00ffff },
	{ "darkblue", 0x00008b }, { "darkcyan", 0x008b8b },
	{ "darkgoldenrod", 0xb8860b }, { "darkgray", 0xa9a9a9 },
	{ "darkgreen", 0x006400 }, { "darkgrey", 0xa9a9a9 },
	{ "darkkhaki", 0xbdb76b }, { "darkmagenta", 0x8b008b },
	{ "darkolivegreen", 0x556b2f }, { "darkorange", 0xff8c00 },
	{ "darkorchid", 0x9932cc }, { "darkred", 0x8b0000 },
	{ "darksalmon", 0xe9967a }, { "darkseagreen", 0x8fbc8f },
	{ "darkslateblue", 0x483d8b }, { "darkslategray", 0x2f4f4f },
	{ "darkslategrey", 0x2f4f4f }, { "darkturquoise", 0x00ced1 },
	{ "darkviolet", 0x9400d3 }, { "deeppink", 0xff1493 },
	{ "deepskyblue", 0x00bfff }, { "dimgray", 0x696969 },
	{ "dimgrey", 0x696969 }, { "dodgerblue", 0x1e90ff },
	{ "firebrick", 0xb22222 }, { "floralwhite", 0xfffaf0 },
	{ "forestgreen", 0x228b22 }, { "fuchsia", 0xff00ff },
	{ "gainsboro", 0xdcdcdc }, { "ghostwhite", 0xf8f8ff }, { "gold", 0xffd700 },
	{ "goldenrod", 0xdaa520 }, { "gray", 0x808080 }, { "green", 0x008000 },
	{ "greenyellow", 0xadff2f }, { "grey", 0x808080 }, { "honeydew", 0xf0fff0 },
	{ "hotpink", 0xff69b4 }, { "indianred", 0xcd5c5c }, { "indigo", 0x4b0082 },
	{ "ivory", 0xfffff0 }, { "khaki", 0xf0e68c }, { "lavender", 0xe6e6fa },
	{ "lavenderblush", 0xfff0f5 }, { "lawngreen", 0x7cfc00 },
	{ "lemonchiffon", 0xfffacd }, { "lightblue", 0xadd8e6 },
	{ "lightcoral", 0xf08080 }, { "lightcyan", 0xe0ffff },
	{ "lightgoldenrodyellow", 0xfafad2 }, { "lightgray", 0xd3d3d3 },
	{ "lightgreen", 0x90ee90 }, { "lightgrey", 0xd3d3d3 },
	{ "lightpink", 0xffb6c1 }, { "lightsalmon", 0xffa07a },
	{ "lightseagreen", 0x20b2aa }, { "lightskyblue", 0x87cefa },
	{ "lightslategray", 0x778899 }, { "lightslategrey", 0x778899 },
	{ "lightsteelblue", 0xb0c4de }, { "lightyellow", 0xffffe0 },
	{ "lime", 0x00ff00 }, { "limegreen", 0x32cd32 }, { "linen", 0xfaf0e6 },
	{ "magenta", 0xff00ff }, { "maroon", 0x800000 },
	{ "mediumaquamarine", 0x66cdaa }, { "mediumblue", 0x0000cd },
	{ "mediumorchid", 0xba55d3 }, { "mediumpurple", 0x9370db },
	{ "mediumseagreen", 0x3cb371 }, { "mediumslateblue", 0x7b68ee },
	{ "mediumspringgreen", 0x00fa9a }, { "mediumturquoise", 0x48d1cc },
	{ "mediumvioletred", 0xc71585 }, { "midnightblue", 0x191970 },
	{ "mintcream", 0xf5fffa }, { "mistyrose", 0xffe4e1 },
	{ "moccasin", 0xffe4b5 }, { "navajowhite", 0xffdead }, { "navy", 0x000080 },
	{ "oldlace", 0xfdf5e6 }, { "olive", 0x808000 }, { "olivedrab", 0x6b8e23 },
	{ "orange", 0xffa500 }, { "orangered", 0xff4500 }, { "orchid", 0xda70d6 },
	{ "palegoldenrod", 0xeee8aa }, { "palegreen", 0x98fb98 },
	{ "paleturquoise", 0xafeeee }, { "palevioletred", 0xdb7093 },
	{ "papayawhip", 0xffefd5 }, { "peachpuff", 0xffdab9 }, { "peru", 0xcd853f },
	{ "pink", 0xffc0cb }, { "plum", 0xdda0dd }, { "powderblue", 0xb0e0e6 },
	{ "purple", 0x800080 }, { "red", 0xff0000 }, { "rosybrown", 0xbc8f8f },
	{ "royalblue", 0x4169e1 }, { "saddlebrown", 0x8b4513 },
	{ "salmon", 0xfa8072 }, { "sandybrown", 0xf4a460 },
	{ "seagreen", 0x2e8b57 }, { "seashell", 0xfff5ee }, { "sienna", 0xa0522d },
	{ "silver", 0xc0c0c0 }, { "skyblue", 0x87ceeb }, { "slateblue", 0x6a5acd },
	{ "slategray", 0x708090 }, { "slategrey", 0x708090 }, { "snow", 0xfffafa },
	{ "springgreen", 0x00ff7f }, { "steelblue", 0x4682b4 }, { "tan", 0xd2b48c },
	{ "teal", 0x008080 }, { "thistle", 0xd8bfd8 }, { "tomato", 0xff6347 },
	{ "turquoise", 0x40e0d0 }, { "violet", 0xee82ee }, { "wheat", 0xf5deb3 },
	{ "white", 0xffffff }, { "whitesmoke", 0xf5f5f5 }, { "yellow", 0xffff00 },
	{ "yellowgreen", 0x9acd32 },
};

static int
color_compare(const void *key, const void *row)
{
	return strcmp(key, ((const struct color *)row)->name);
}

static void
color_set(struct html_color *c, unsigned rgb)
{
	snprintf(c->text, sizeof(c->text), "#%06x", rgb & 0xFFFFFF);
}

void
html_color_invalid(struct html_color *c)
{
	strcpy(c->text, "invalid");
}

bool
html_color_is_invalid(const struct html_color *c)
{
	return strcmp(c->text, "invalid") == 0;
}

/* "rgb(1, 2, 3)" or "rgb(1%, 2%, 3%)" somewhere in s: its numbers */
static bool
rgb_numbers(const char *s, bool percent, unsigned long ret[3])
{
	for (const char *p = strstr(s, "rgb("); p != NULL;
	     p = strstr(p + 1, "rgb(")) {
		const char *q = p + 4;
		int i = 0;

		for (; i < 3; i++) {
			char *end;

			if (*q < '0' || *q > '9')
				break;
			ret[i] = strtoul(q, &end, 10);
			q = end;
			if (percent && *q++ != '%')
				break;
			if (i < 2) {
				if (*q++ != ',')
					break;
			}
			while (ascii_is_space(*q))
				q++;
		}
		if (i == 3 && *q == ')')
			return true;
	}
	return false;
}

/* "rgb(" with nothing but digits, percent signs, commas and spaces up to
 * its ")" */
static bool
has_rgb_form(const char *s)
{
	for (const char *p = strstr(s, "rgb("); p != NULL;
	     p = strstr(p + 1, "rgb("))
		if (p[4 + strspn(p + 4, "0123456789%, ")] == ')')
			return true;
	return false;
}

/* "#rgb", "#rrggbb" and what else begins with "#": hex digits of s, made
 * six of what is there */
static void
hex_color(const char *s, struct html_color *ret)
{
	char d[7];
	size_t n = 0;

	for (; *s != '\0' && n < 6; s++)
		if ((*s >= '0' && *s <= '9') || (*s >= 'a' && *s <= 'f'))
			d[n++] = *s;
	if (n > 3 && n < 6)
		n = 3;
	while (n % 3 != 0)
		d[n++] = '0';
	if (n == 3) {
		d[5] = d[4] = d[2];
		d[3] = d[2] = d[1];
		d[1] = d[0];
		n = 6;
	}
	d[n] = '\0';
	ret->text[0] = '#';
	memcpy(ret->text + 1, d, n + 1);
}

void
html_color_parse(struct span s, struct html_color *ret)
{
	char text[64];
	unsigned long n[3];
	const struct color *row;

	while (s.len > 0 && ascii_is_space(s.ptr[0]))
		s = span_from(s, 1);
	while (s.len > 0 && ascii_is_space(s.ptr[s.len - 1]))
		s.len--;
	html_color_invalid(ret);
	if (s.len >= sizeof(text) || memchr(s.ptr, '\0', s.len) != NULL)
		return;
	for (size_t i = 0; i < s.len; i++)
		text[i] = ascii_lower(s.ptr[i]);
	text[s.len] = '\0';
	row = bsearch(text, colors, sizeof(colors) / sizeof(colors[0]),
	    sizeof(colors[0]), color_compare);
	if (row != NULL) {
		color_set(ret, row->rgb);
		return;
	}
	if (has_rgb_form(text)) {
		char hex[64];

		if (rgb_numbers(text, true, n))
			for (int i = 0; i < 3; i++)
				n[i] = n[i] > 100000 ? 255 : n[i] * 255 / 100;
		else if (!rgb_numbers(text, false, n))
			return;
		snprintf(hex, sizeof(hex), "#%02lx%02lx%02lx", n[0], n[1], n[2]);
		hex_color(hex, ret);
	} else if (text[0] == '#' &&
	    text[strspn(text, "#0123456789abcdef")] == '\0') {
		hex_color(text, ret);
	}
}

void
html_color_rgb_list(struct span s, struct html_color *ret)
{
	unsigned n[3] = { 0, 0, 0 };
	int i = 0;

	for (size_t k = 0; k < s.len && i < 3; k++) {
		if (s.ptr[k] == ',')
			i++;
		else if (s.ptr[k] >= '0' && s.ptr[k] <= '9' && n[i] <= 255)
			n[i] = n[i] * 10 + (unsigned)(s.ptr[k] - '0');
	}
	for (i = 0; i < 3; i++)
		if (n[i] > 255)
			n[i] = 255;
	color_set(ret, n[0] << 16 | n[1] << 8 | n[2]);
}

static bool
components(const struct html_color *c, int ret[3])
{
	unsigned rgb;
	char *end;

	if (c->text[0] != '#' || strlen(c->text) != 7)
		return false;
	rgb = (unsigned)strtoul(c->text + 1, &end, 16);
	ret[0] = (int)(rgb >> 16 & 255);
	ret[1] = (int)(rgb >> 8 & 255);
	ret[2] = (int)(rgb & 255);
	return *end == '\0';
}

bool
html_color_low_contrast(const struct html_color *a, const struct html_color *b)
{
	size_t n = strlen(a->text), k = strlen(b->text);
	const char *x = n > 6 ? a->text + n - 6 : a->text;
	const char *y = k > 6 ? b->text + k - 6 : b->text;
	int p[3], q[3];
	double r, g, bl;

	if (strcmp(x, y) == 0)
		return true;
	if (!components(a, p) || !components(b, q))
		return false;
	/* distance weighted by how bright the eye sees each colour; at 12 of
	 * at most 191 text can hardly be read */
	r = 0.2126 * (p[0] - q[0]);
	g = 0.7152 * (p[1] - q[1]);
	bl = 0.0722 * (p[2] - q[2]);
	return r * r + g * g + bl * bl < 12 * 12;
}
