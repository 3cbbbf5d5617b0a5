"$ANEFORGE" info | grep -q '^images *png, jpeg' || skip 'this build reads no images'
cp "$DATA"/*.graph "$DATA"/*.png "$DATA"/*.jpg .
t run picture.graph rgb_4x2.png --text
t run picture.graph alpha_4x2.png --text
t run gray.graph rgb_4x2.png --text
t run gray.graph gray_8x4.png
t run gray.graph gray_8x4.png --resize --text
t run picture.graph x=gray_8x4.png --resize --text
printf 'aneforge-graph 1\nx = input u8[1,1,4,3]\ny = cast(x)\nreturn y\n' > tall.graph
t run tall.graph rgb_4x2.png --resize --text
t run picture.graph flat_8x8.jpg
t run picture.graph flat_8x8.jpg --resize --text
printf 'aneforge-graph 1\nx = input f16[1,3,2,4]\nreturn x\n' > half.graph
t run half.graph rgb_4x2.png
head -c 60 rgb_4x2.png > cut.png
t run picture.graph cut.png
head -c 400 flat_8x8.jpg > cut.jpg
t run picture.graph cut.jpg --resize
head -c 4 flat_8x8.jpg > head.jpg
t run picture.graph head.jpg --resize
head -c 12 rgb_4x2.png > head.png
t run picture.graph head.png
