/* SPDX-License-Identifier: MIT
 * Looks into pictures for the shell tests.
 *     png_look difference FILE FILE    the largest difference of two samples, 0 to 255 */
#include <png.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct picture {
    png_image head;
    png_bytep pixels;
    size_t n;
} picture;

static _Noreturn void die(const char *path, const char *why)
{
    fprintf(stderr, "png_look: %s: %s\n", path, why);
    exit(2);
}

static picture read_picture(const char *path)
{
    picture p = {.head.version = PNG_IMAGE_VERSION};
    if (!png_image_begin_read_from_file(&p.head, path)) die(path, p.head.message);
    p.head.format = PNG_FORMAT_RGBA;
    p.n = PNG_IMAGE_SIZE(p.head);
    p.pixels = malloc(p.n);
    if (!p.pixels) die(path, "out of memory");
    if (!png_image_finish_read(&p.head, NULL, p.pixels, 0, NULL)) die(path, p.head.message);
    return p;
}

int main(int argc, char **argv)
{
    int worst = 0;
    if (argc != 4 || strcmp(argv[1], "difference") != 0) die("usage", "png_look difference FILE FILE");
    picture a = read_picture(argv[2]), b = read_picture(argv[3]);
    if (a.head.width != b.head.width || a.head.height != b.head.height) die(argv[3], "has another size");
    for (size_t i = 0; i < a.n; i++)
        if (abs(a.pixels[i] - b.pixels[i]) > worst) worst = abs(a.pixels[i] - b.pixels[i]);
    printf("%d\n", worst);
    free(a.pixels);
    free(b.pixels);
    return 0;
}
