/** Korean, by the English text. */

import { draw } from "./words-ko-draw.js";
import { world } from "./words-ko-world.js";

export const korean = {
  ...draw,
  ...world,
  "skip to the scene": "장면으로 건너뛰기",
  "scenes": "장면",
  "language": "언어",
  "English": "English",
  "colours": "색",
  "as the system": "시스템 설정대로",
  "light": "밝게",
  "dark": "어둡게",
  "{0} parameters": "매개변수 {0}개",
  "step {0}": "스텝 {0}",
  "{0} ms a call": "한 번 부르는 데 {0} ms",
  "runs on {0}, {1} ms a call": "{0}에서 실행, 한 번 부르는 데 {1} ms",
  "WebGPU": "WebGPU", "JavaScript": "자바스크립트",
  "The GPU is not used: {0}": "GPU를 쓰지 않습니다: {0}",
  "show me the code": "코드 보기",
  "ddpm explore does not answer. Was it ended, or did the computer sleep? The page tries again and goes on by itself.":
    "ddpm explore가 대답하지 않습니다. 끝났거나 컴퓨터가 잠들었던 것은 아닌가요? 페이지가 다시 물어보고, 대답이 오면 저절로 이어 갑니다.",
  "ddpm explore was started anew. Open the address that it printed; then this page goes on too.":
    "ddpm explore가 새로 시작되었습니다. 새로 나온 주소를 여세요. 그러면 이 페이지도 이어 갑니다.",
  "no checkpoint yet": "아직 체크포인트가 없음",
  "This needs a trained model. It opens by itself when the training has written its first checkpoint.":
    "학습된 모델이 있어야 합니다. 학습이 첫 체크포인트를 쓰면 저절로 열립니다.",
  "images": "이미지",
  "image {0}: {1}": "이미지 {0}: {1}",
  "image {0}": "이미지 {0}",
  "a picture file": "그림 파일",
  "images of --data": "--data의 이미지",
  "images that training did not see": "학습이 보지 않은 이미지",
  "images that the model drew": "모델이 그린 이미지",
  "or draw your own": "또는 직접 그리기",
  "a pad to draw on": "그림판",
  "clear": "지우기",
  "open a picture": "그림 열기",
  "the picture has more than {0} MB": "그림이 {0} MB보다 큽니다",
  "this is no picture that the browser can read": "브라우저가 읽을 수 있는 그림이 아닙니다",
  "play": "재생",
  "stop": "멈춤",
  "other noise": "다른 잡음",
  "bits/dim": "bits/dim",
  "step": "스텝",
  "t": "t",

  "Forward and back": "정방향과 역방향",
  "Noise covers an image in small steps; the network guesses the image from any of them. Drag t.":
    "잡음이 이미지를 조금씩 덮습니다. 신경망은 어느 단계에서든 원래 이미지를 짐작합니다. t를 끌어 보세요.",
  "x₀, the image": "x₀, 이미지",
  "x_t, what is left of it": "x_t, 남은 것",
  "x̂₀, the network's estimate": "x̂₀, 신경망의 추정",
  "log SNR(t)": "log SNR(t)",
  "RMSE of the estimate, 0..255": "추정의 RMSE, 0..255",
  "bits/dim received so far": "지금까지 받은 bits/dim",
  "bits/dim still to come": "앞으로 받을 bits/dim",
  "bits/dim that each step of the bound costs": "변분 경계의 스텝마다 드는 bits/dim",
  "bits/dim of L at t": "t에서 L의 bits/dim",
  "{0} of {1} bits/dim received": "{1} bits/dim 가운데 {0}을 받음",
  "The terms of the bound of this image (Eq. 5), on a logarithmic scale: going from T to 0, each step costs so many bits. Click to go there.":
    "이 이미지의 변분 경계의 항들(식 5), 로그 눈금: T에서 0으로 가며 스텝마다 이만큼의 비트가 듭니다. 누르면 그리로 갑니다.",
  "Of these bits, {0} are L₀ alone: at t = 1 the network misses some pixels by many times its σ, and Eq. 13 sets no limit to what that costs. A codec that sets one needs less.":
    "이 비트 가운데 {0}은 L₀ 하나의 것입니다. t = 1에서 신경망이 몇몇 픽셀을 σ의 여러 배만큼 빗나갔고, 식 13은 그 값에 한도를 두지 않습니다. 한도를 두는 코덱에는 비트가 덜 듭니다.",

  "Schedule": "스케줄",
  "The schedule decides how much of the image is left at each t. Drag its points: the bound is what this model would need on it.":
    "스케줄은 t마다 이미지가 얼마나 남는지를 정합니다. 점을 끌어 보세요. 경계는 이 모델이 그 스케줄에서 쓸 비트입니다.",
  "schedule": "스케줄",
  "the model's own": "모델의 것",
  "linear": "linear", "cosine": "cosine", "quadratic": "quadratic", "constant": "constant", "warmup": "warmup", "log-snr": "log-snr",
  "bits/dim on this schedule": "이 스케줄에서 bits/dim",
  "bits/dim on the model's own": "모델의 스케줄에서 bits/dim",
  "bits/dim with the best steps alone": "가장 좋은 스텝들만 쓸 때 bits/dim",
  "of it L_T, what is left of the image at T": "그 가운데 L_T, T에 남은 이미지",
  "log SNR over t": "t에 따른 log SNR",
  "bits/dim of each step": "스텝마다의 bits/dim",
  "weight of Eq. 12": "식 12의 가중치",
  "best steps K": "가장 좋은 스텝 K개",
  "measuring the network's error once: {0} of {1}": "신경망의 오차를 한 번 재는 중: {1} 가운데 {0}",
  "log SNR at t = {0}": "t = {0}에서 log SNR",
  "the model's own again": "모델의 것으로 되돌리기",
  "drawn by hand": "손으로 그린 것",
  stopped: "멈춤",
  "The run was deleted. What is shown is the model that is still in memory.": "run이 지워졌습니다. 보이는 것은 아직 메모리에 있는 모델입니다.",
  "all done": "모두 끝남",
  "save for --schedule": "--schedule용으로 저장",
  "Dashed: the model's own. Points can be dragged, or moved with the arrow keys.":
    "점선: 모델의 것. 점은 끌거나 화살표 키로 옮깁니다.",
  "What each step costs on this schedule with the best variance, by the network's measured error; marks: the best K steps.":
    "신경망의 오차를 재서 얻은, 가장 좋은 분산으로 이 스케줄의 스텝마다 드는 비트. 눈금: 가장 좋은 K개의 스텝.",

  "A call of this network takes {0} s: while you drag, x_t moves alone, and the estimate follows when you stop.":
    "이 신경망은 한 번 부르는 데 {0}초가 걸립니다. 끄는 동안에는 x_t만 움직이고, 멈추면 추정이 따라옵니다.",

  "The bound": "변분 경계",
  "The bound is a sum over t. Open a t: the images that are hardest to predict there, and where in them the bits go.":
    "변분 경계는 t에 걸친 합입니다. t를 하나 열면 거기서 가장 예측하기 어려운 이미지와, 비트가 그 어디에 쓰이는지가 보입니다.",
  "bits/dim at this t, mean of the images": "이 t에서 bits/dim, 이미지들의 평균",
  "of the costliest image": "가장 비싼 이미지에서",
  "bits/dim of all t, this image": "모든 t의 bits/dim, 이 이미지",
  "bits/dim of each term of the bound, for the chosen image": "고른 이미지에서 변분 경계의 항마다 bits/dim",
  "bits of each pixel": "픽셀마다의 비트",
  "The curve is that of the chosen image, with noise of its own; the name of another one chooses it. Warm pixels cost many bits, dark ones few or none.":
    "곡선은 고른 이미지를 따로 뽑은 잡음으로 잰 것입니다. 다른 이미지의 이름을 누르면 그것을 고릅니다. 밝은 픽셀은 비트가 많이 들고, 어두운 픽셀은 거의 들지 않습니다.",

  "Bits": "비트",
  "The model as a codec: the first bytes of a file already show the image, all of them give it back exactly. Drag the bytes.":
    "코덱으로 쓰는 모델: 파일의 처음 몇 바이트만으로도 이미지가 보이고, 전부 읽으면 정확히 되돌아옵니다. 바이트를 끌어 보세요.",
  "the image": "이미지",
  "ddpm": "ddpm", "WebP": "WebP", "JPEG": "JPEG", "JPEG XL": "JPEG XL",
  "bytes": "바이트",
  "bytes read, of all": "읽은 바이트 / 전체",
  "RMSE, 0..255": "RMSE, 0..255",
  "how far it came": "어디까지 왔는지",
  "lossless: ddpm, and the others": "무손실: ddpm과 다른 형식",
  "nothing": "아직 없음", "exact": "정확히", "noise {0}": "잡음 {0}", "cells of {0}": "폭 {0}의 칸", "{0} of {1} numbers": "값 {1}개 가운데 {0}개",
  "bits/dim of the whole file": "파일 전체의 bits/dim",
  "The bits of a file are not the bound of Forward and back: the codec takes few steps, its variances are measured, and at no step can a pixel cost it more than about {0} bits, while L₀ of Eq. 13 has no limit. So the file of a strange image, such as a black one, can be smaller than its bound.":
    "파일의 비트는 ‘정방향과 역방향’의 변분 경계와 다릅니다. 코덱은 스텝이 적고 분산을 재어 쓰며, 한 스텝에서 픽셀 하나에 약 {0}비트보다 많이 들지 않습니다. 식 13의 L₀에는 그런 한도가 없습니다. 그래서 온통 검은 이미지처럼 낯선 이미지는 파일이 경계보다 작을 수 있습니다.",
  "the image is coded": "이미지를 부호화하는 중",
  "ddpm: exactly the image": "ddpm: 정확히 그 이미지",
  "ddpm: {0} bytes, RMSE {1}": "ddpm: {0}바이트, RMSE {1}",
  "{0}: {1} bytes, RMSE {2}": "{0}: {1}바이트, RMSE {2}",
  "{0}: no file is so small": "{0}: 이렇게 작은 파일은 없음",
  "The others have the best quality that fits into as many bytes. Every file holds its header.":
    "다른 형식은 같은 바이트에 들어가는 가장 좋은 품질입니다. 모든 파일에 머리말이 들어 있습니다.",

  "Copies?": "베낀 것일까?",
  "Does the model remember or invent? Under each sample is the training image that is nearest to it.":
    "모델은 외운 것일까, 지어낸 것일까? 샘플마다 아래에 가장 가까운 학습 이미지가 있습니다.",
  "drawing: {0} evaluations": "그리는 중: 평가 {0}번",
  "looking through {0} training images": "학습 이미지 {0}장을 살펴보는 중",
  "the nearest of all is {0} grey levels away (RMSE); a copy would be at 0":
    "가장 가까운 것이 회색 단계로 {0}만큼 떨어져 있습니다 (RMSE). 베낀 것이라면 0입니다",
  "sample {0}": "샘플 {0}",
  "its nearest training image": "가장 가까운 학습 이미지",
  "no. {0}, RMSE {1}": "{0}번, RMSE {1}",
  "other samples": "다른 샘플",
  "Near is not yet a copy: images of one kind are near to each other. ddpm evaluate --metrics memorised holds the distances against those of images that training did not see.":
    "가깝다고 베낀 것은 아닙니다. 같은 종류의 이미지는 서로 가깝습니다. ddpm evaluate --metrics memorised는 학습이 보지 않은 이미지의 거리와 견줍니다.",

  "In between": "사이",
  "Two images are noised to t, their latents are mixed, and the model comes down again. The higher t, the freer the way.":
    "두 이미지에 t까지 잡음을 넣고, 잠재 변수를 섞은 뒤 모델이 다시 내려옵니다. t가 높을수록 길이 자유롭습니다.",
  "the image at this place of the way": "이 자리의 이미지",
  "from one to the other": "한쪽에서 다른 쪽으로",
  "latents": "잠재 변수",
  "drawn, as in the paper": "논문처럼 뽑기",
  "by DDIM: the ends nearly come back": "DDIM으로: 양 끝이 거의 그대로 돌아옵니다",
  "step {0} of {1}": "{1}스텝 가운데 {0}",
  "place {0} of {1}": "{1}자리 가운데 {0}",
  "from image": "이 이미지에서",
  "to image": "이 이미지로",

  "Training": "학습",
  "How this run learned, or learns: the page follows a training that goes on.": "이 run이 어떻게 배웠는지, 또는 배우는지. 학습이 진행되면 페이지가 따라갑니다.",
  "steps, of all": "스텝 / 전체",
  "loss": "손실",
  "bits/dim, held out": "bits/dim, 평가용",
  "minutes of training": "학습한 시간(분)",
  "loss by steps": "스텝에 따른 손실",
  "bits/dim of held-out images by steps": "스텝에 따른 평가용 이미지의 bits/dim",
  "the newest samples": "가장 새로운 샘플",
  "samples of step {0}": "스텝 {0}의 샘플",
};
